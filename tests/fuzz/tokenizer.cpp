// Input: a byte, a text up to the next byte 0xff, then more bytes. With an even first byte these are a tokenizer.bin;
// with an odd one each line of them is a further piece of a good one, its first byte the score. What loads encodes the
// text, and must do so as the slow definition does.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reference_model/text/llama2c_tokenizer.hpp>

#include <reference_model/merge_oracle.hpp>

namespace {

using namespace reference_model;

llama2c_tokenizer read(std::string bytes, std::size_t vocab) {
  config c;
  c.vocab = static_cast<std::uint32_t>(vocab);
  return llama2c_tokenizer(file_source("tokenizer.bin", std::move(bytes)), c);
}

void encode_file(std::string_view file, std::string_view text) {
  std::size_t vocab = 0;  // as many as the file says it has, so that it may load
  for (std::size_t at = 4; at + 8 <= file.size(); ++vocab) {
    std::uint32_t length = 0;
    std::memcpy(&length, file.data() + at + 4, 4);
    at += 8 + std::size_t{length};
  }
  llama2c_tokenizer const words = read(std::string(file), vocab);
  for (std::uint32_t token : words.encode(text))
    if (token >= words.vocab()) std::abort();
}

void encode_as_defined(std::string_view lines, std::string_view text) {
  std::vector<std::pair<std::string, float>> more;
  for (std::size_t at = 0; at < lines.size() && more.size() < 64;) {
    std::size_t const end = std::min(lines.find('\n', at), lines.size());
    if (end - at > 1) more.emplace_back(lines.substr(at + 1, end - at - 1), static_cast<float>(lines[at]) / 8);
    at = end + 1;
  }
  oracle::vocabulary const v(more);
  text = text.substr(0, 100);
  if (read(v.file(), v.pieces.size()).encode(text) != oracle::encode(v, text, true)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view const rest(reinterpret_cast<char const*>(data) + 1, size - 1);
  std::size_t const end = std::min(rest.find('\xff'), rest.size());
  std::string_view const text = rest.substr(0, end), bytes = rest.substr(std::min(end + 1, rest.size()));
  try {
    if (data[0] % 2 == 0)
      encode_file(bytes, text);
    else
      encode_as_defined(bytes, text);
  } catch (bad_file const&) {
  }
  return 0;
}
