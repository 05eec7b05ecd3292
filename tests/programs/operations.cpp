// Arithmetic counted by formula against arithmetic counted one by one.

#include <cstdint>

#include <doctest/doctest.h>

#include <common/operations.hpp>

namespace {

using namespace programs;

reference_model::config small() {
  reference_model::config c;
  c.layers = 3;
  c.dim = 8;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 5;
  c.hidden = 7;
  c.vocab = 11;
  return c;
}

/// Of a matrix [out, in].
double matrix(double out, double in) {
  double count = 0;
  for (int o = 0; o < out; ++o)
    for (int i = 0; i < in; ++i) count += 2;
  return count;
}

double by_hand(reference_model::config const& c, int token, int most) {
  int const seen = token < most ? token : most;
  double count = matrix(c.vocab, c.dim);
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    count += matrix(20, 8) + matrix(10, 8) + matrix(10, 8) + matrix(8, 20) + matrix(7, 8) + matrix(7, 8) + matrix(8, 7);
    for (std::uint32_t h = 0; h < c.heads; ++h) count += matrix(seen, 5) + matrix(5, seen);
  }
  return count;
}

TEST_CASE("a token's operations, one by one") {
  reference_model::config const c = small();
  for (int const token : {1, 4, 9, 10, 30}) CHECK(token_operations(c, standing::in_cache, nullptr, static_cast<std::uint64_t>(token), 9) == by_hand(c, token, 9));
  double window = 0;  // the logits of the last token alone
  for (int t = 1; t <= 9; ++t) window += by_hand(c, t, 9) - (t < 9 ? matrix(11, 8) : 0);
  CHECK(token_operations(c, standing::recompute, nullptr, 30, 9) == window);
  kvsift::learned_align rule;
  rule.sinks = 4;
  rule.key_network.wide = 6;
  rule.key_network.narrow = 3;
  rule.value_network.wide = 2;
  rule.value_network.narrow = 10;
  double const nets = 3 * 2 * (8 - 4) * (matrix(6, 5) + matrix(3, 6) + matrix(5, 3) + matrix(2, 5) + matrix(10, 2) + matrix(5, 10));
  CHECK(token_operations(c, standing::learned_align, &rule, 30, 9) == by_hand(c, 30, 9) + nets);
  CHECK(token_operations(c, standing::learned_align, &rule, 8, 9) == by_hand(c, 8, 9));
}

}  // namespace
