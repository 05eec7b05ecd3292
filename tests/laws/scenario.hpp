#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <laws/engine.hpp>
#include <support/marked_vectors.hpp>
#include <support/policies.hpp>

namespace laws {

using u32 = std::uint32_t;

/// A random shape, policy of random parts, layout, and tokens in pieces.
struct scenario {
  kvsift::cache_shape shape{};
  support::composition policy{};
  kvsift::layout order = kvsift::layout::slots;
  std::vector<u32> pieces{};
  support::marked_vectors data{};

  kvsift::cache_options options(u32 threads = 1) const {
    return {.max_piece = *std::max_element(pieces.begin(), pieces.end()), .order = order, .group_threads = threads};
  }
  std::string text() const {
    auto const n = [](u32 x) { return std::to_string(x) + " "; };
    return policy.text + (order == kvsift::layout::dense ? ", dense" : ", slots") + "; layers, KV heads, group, dim, sequences " +
           n(shape.layers) + n(shape.kv_heads) + n(shape.group) + n(shape.head_dim) + n(shape.sequences) + "; pieces " +
           support::listed(pieces);
  }
};

/// most: tokens in all. Prompts are one token, a fit, shorter or longer than the limit; later pieces one token or a few.
inline scenario random_scenario(std::uint64_t seed, u32 most = 40, bool even_dim = false) {
  support::draws d(seed);
  auto const between = [&](u32 low, u32 high) { return static_cast<u32>(d.between(static_cast<int>(low), static_cast<int>(high))); };
  scenario s;
  u32 const dims[] = {3, 5, 8, 9, 16, 17, 19, 24};
  s.shape = {between(1, 2), between(1, 3), between(1, 3), dims[between(0, 7)], d.chance(0.3) ? 2u : 1u};
  if (even_dim) s.shape.head_dim = 2 * ((s.shape.head_dim + 1) / 2);
  s.policy = support::random_composition(d, between(1, std::min(14u, most / 2)));
  s.order = d.chance(0.5) ? kvsift::layout::dense : kvsift::layout::slots;
  u32 const limit = s.policy.limit;
  u32 const prompts[] = {1, limit, between(1, limit), between(1, most), between(1, most)};
  s.pieces = {prompts[between(0, 4)]};
  for (u32 seen = s.pieces[0]; seen < most;) {
    u32 const next = d.chance(0.2) ? std::min(most - seen, between(2, 5)) : 1;
    s.pieces.push_back(next);
    seen += next;
  }
  s.data = {seed, s.shape};
  return s;
}

/// Feeds a piece to every layer and evicts; appends the attention outputs to `out`.
inline void feed(support::any_executor const& on, engine& cache, support::marked_vectors const& data, u32 first, u32 tokens,
                 std::vector<float>& out) {
  for (u32 layer = 0; layer < data.shape.layers; ++layer) {
    support::marked_vectors::piece const p = data.make_piece(layer, first, tokens);
    std::vector<float> result(p.queries.size());
    cache.step(on, layer, p.view(), result.data());
    out.insert(out.end(), result.begin(), result.end());
  }
  cache.evict(on);
}

/// What a whole scenario leaves behind: attention outputs, and the cache after every piece.
struct history {
  std::vector<float> out{};
  std::vector<support::snapshot> after{};
};

inline history run(support::any_executor const& on, engine& cache, scenario const& s) {
  history h;
  u32 seen = 0;
  for (u32 const tokens : s.pieces) {
    feed(on, cache, s.data, seen, tokens, h.out);
    h.after.push_back(cache.look());
    seen += tokens;
  }
  return h;
}

/// The same with garbage in what is undefined: in free slots before every piece, in scratch before every launch.
inline history run_poisoned(support::any_executor on, engine& cache, scenario const& s) {
  on.before_launch = [&] { cache.poison_scratch(); };
  history h;
  u32 seen = 0;
  for (u32 const tokens : s.pieces) {
    cache.poison();
    feed(on, cache, s.data, seen, tokens, h.out);
    h.after.push_back(cache.look());
    seen += tokens;
  }
  return h;
}

/// Where two runs first differ, in words; empty if nowhere.
inline std::string difference(history const& got, history const& want) {
  for (std::size_t i = 0; i < std::min(got.after.size(), want.after.size()); ++i) {
    std::string const text = support::difference(got.after[i], want.after[i]);
    if (!text.empty()) return "after piece " + std::to_string(i) + ": " + text;
  }
  if (got.after.size() != want.after.size()) return "numbers of pieces differ";
  for (std::size_t i = 0; i < std::min(got.out.size(), want.out.size()); ++i)
    if (__builtin_bit_cast(u32, got.out[i]) != __builtin_bit_cast(u32, want.out[i]))
      return "output " + std::to_string(i) + ": " + std::to_string(got.out[i]) + " instead of " + std::to_string(want.out[i]);
  return got.out.size() == want.out.size() ? "" : "numbers of outputs differ";
}

}  // namespace laws
