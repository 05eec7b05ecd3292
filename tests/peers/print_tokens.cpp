// print_tokens TOKENIZER VOCAB BOS: the tokens of the text on standard input, with those that the tokenizer puts in
// front, as raw 32-bit numbers on standard output, and seconds and bytes a second on standard error. compare_tokens.py
// compares them.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <reference_model/text/load_tokenizer.hpp>

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "print_tokens TOKENIZER VOCAB BOS\n");
    return 2;
  }
  reference_model::config c;
  c.vocab = static_cast<std::uint32_t>(std::stoul(argv[2]));
  c.bos = static_cast<std::uint32_t>(std::stoul(argv[3]));
  c.ends = {c.bos};
  using clock = std::chrono::steady_clock;
  auto const seconds_since = [](clock::time_point begin) {
    return std::chrono::duration<double>(clock::now() - begin).count();
  };
  auto const begin = clock::now();
  std::unique_ptr<reference_model::tokenizer> const words = reference_model::load_tokenizer(argv[1], "", c);
  double const loading = seconds_since(begin);
  std::string text;
  char buffer[65536];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;) text.append(buffer, n);
  auto const loaded = clock::now();
  std::vector<std::uint32_t> const tokens = words->encode(text);
  double const encoding = seconds_since(loaded);
  std::fprintf(stderr, "loaded in %.2f s, encoded in %.2f s, %.1f MB/s\n", loading, encoding,
               static_cast<double>(text.size()) / encoding * 1e-6);
  std::fwrite(tokens.data(), sizeof tokens[0], tokens.size(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 2;
} catch (std::exception const& wrong) {
  std::fprintf(stderr, "print_tokens: %s\n", wrong.what());
  return 2;
}
