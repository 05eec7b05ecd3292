// print_logits MODEL PIECE TOKEN...: the logits of every token as raw floats [tokens, vocab] on standard output,
// computed in pieces of PIECE tokens with the full cache. family_logits.py compares them.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <kvsift/kvsift.hpp>
#include <reference_model/io/load_model.hpp>
#include <reference_model/model/transformer.hpp>

int main(int argc, char** argv) try {
  if (argc < 4) {
    std::fprintf(stderr, "print_logits MODEL PIECE TOKEN...\n");
    return 2;
  }
  auto const number = [&](int i) { return static_cast<std::uint32_t>(std::stoul(argv[i])); };
  reference_model::model const m = reference_model::load_model(argv[1]);
  std::vector<std::uint32_t> tokens, positions;
  for (int i = 3; i < argc; ++i) {
    positions.push_back(static_cast<std::uint32_t>(tokens.size()));
    tokens.push_back(number(i));
  }
  std::uint32_t const length = static_cast<std::uint32_t>(tokens.size()), piece = std::min(number(2), length);
  reference_model::config const& c = m.config;
  kvsift::cache_options options;
  options.capacity = length;
  options.max_piece = piece;
  auto const policy = kvsift::full();
  kvsift::kv_tensor<decltype(policy)> cache({c.layers, c.kv_heads, c.group(), c.head_dim, 1}, policy, options, kvsift::original_positions{c.bias});
  reference_model::transformer decoder(m, piece, reference_model::logits_of::every_token);
  for (std::uint32_t at = 0; at < length; at += piece) {
    std::uint32_t const n = std::min(piece, length - at);
    float const* const logits = decoder.forward(kvsift::serial_executor{}, cache, &tokens[at], &positions[at], n);
    std::fwrite(logits, sizeof(float), std::size_t{n} * c.vocab, stdout);
  }
  return std::fflush(stdout) == 0 ? 0 : 2;
} catch (std::exception const& wrong) {
  std::fprintf(stderr, "print_logits: %s\n", wrong.what());
  return 2;
}
