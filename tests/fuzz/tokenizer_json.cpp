// Input: a text up to the first byte 0xff, then a tokenizer.json. What loads encodes the text into tokens of its
// vocabulary, the same whether it stands alone or was encoded before, and gives the text of each.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <reference_model/text/tokenizer_json.hpp>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace reference_model;
  std::string_view const all(reinterpret_cast<char const*>(data), size);
  std::size_t const end = std::min(all.find('\xff'), size);
  std::string_view const text = all.substr(0, std::min<std::size_t>(end, 400)),
                         file = all.substr(std::min(end + 1, size));
  config c;
  c.vocab = 1000;
  try {
    bpe_tokenizer const words = read_tokenizer_json("tokenizer.json", file, c);
    std::vector<std::uint32_t> const tokens = words.encode(text, false);
    if (words.encode(text, false) != tokens) std::abort();
    std::uint32_t before = words.bos();
    std::size_t bytes = 0;
    for (std::uint32_t token : tokens) {
      if (token >= words.vocab()) std::abort();
      bytes += words.piece(before, token).size();
      before = token;
    }
    if (bytes != 0 && tokens.empty()) std::abort();
    words.encode(text);
  } catch (bad_file const&) {
  }
  return 0;
}
