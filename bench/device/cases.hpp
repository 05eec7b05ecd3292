#pragma once
// What is measured on a GPU, in numbers: rows of the matrix, their names, and the fewest bytes that each must move. Needs no GPU.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <kvsift/core/shape.hpp>

namespace bench {

enum class storage { fp32, fp16, bf16, fp8 };
enum class placement { rows, pages };
enum class policy_kind { none, accumulated_attention, roco, heavy_hitter, tova, key_norm, lsh_64, streaming_llm, ragged };
enum class part {
  attention,       // of the newest token, over what is held
  step,            // token written, attention, columns fed, one victim a head
  step_and_gather, // the same, and then every vector copied to where a fresh cache would have it: what compaction costs
  append,          // token written; a full head makes room first, if that is the policy's moment
  evict            // all layers at once, one victim a head
};

inline char const* name_of(storage s) { return std::array{"fp32", "fp16", "bf16", "fp8"}[static_cast<std::size_t>(s)]; }
inline char const* name_of(placement p) { return std::array{"rows", "pages"}[static_cast<std::size_t>(p)]; }
inline char const* name_of(policy_kind k) {
  return std::array{"none",     "accumulated_attention", "roco",          "heavy_hitter", "tova",
                    "key_norm", "lsh_64",                "streaming_llm", "ragged"}[static_cast<std::size_t>(k)];
}
inline char const* name_of(part p) {
  return std::array{"attention", "step", "step_and_gather", "append", "evict"}[static_cast<std::size_t>(p)];
}

/// Bytes of one element.
inline std::uint32_t element_bytes(storage s) { return s == storage::fp32 ? 4 : s == storage::fp8 ? 1 : 2; }

/// Bytes of a slot that a decode step must touch for the policy: columns that it feeds are read and written, what only decides is read.
///   accumulated_attention  sum                     4 + 4
///   roco                   sum, squares, position  8 + 8 + 4
///   heavy_hitter           sum, position           4 + 4 + 4
///   tova                   last                    0 + 4
///   key_norm, lsh_64       norm or code, position  4 or 8, + 4
inline std::uint32_t step_state_bytes(policy_kind k) {
  switch (k) {
    case policy_kind::accumulated_attention: return 8;
    case policy_kind::roco: return 20;
    case policy_kind::heavy_hitter: return 12;
    case policy_kind::tova: return 4;
    case policy_kind::key_norm: return 8;
    case policy_kind::lsh_64: return 12;
    default: return 0;
  }
}
/// Bytes of a slot that choosing a victim must read, when nothing is fed.
inline std::uint32_t choice_state_bytes(policy_kind k) {
  switch (k) {
    case policy_kind::accumulated_attention: return 4;
    case policy_kind::roco: return 12;
    case policy_kind::heavy_hitter: return 8;
    case policy_kind::tova: return 4;
    case policy_kind::key_norm: return 8;
    case policy_kind::lsh_64: return 12;
    default: return 0;
  }
}

/// One row: a layer's decode step or a part of it, in the middle of a generation.
struct decode_case {
  part what = part::attention;
  policy_kind policy = policy_kind::none;
  storage stored = storage::bf16;
  placement placed = placement::rows;
  std::uint32_t head_dim = 128;
  std::uint32_t group = 4;
  std::uint32_t kv_heads = 8;
  std::uint32_t held = 8192;  ///< slots of a head; under `ragged` their mean
  std::uint32_t batch = 1;

  /// Rows of a layer.
  double layer_rows() const { return static_cast<double>(batch) * kv_heads; }
  double slots() const { return layer_rows() * held; }
  /// K and V of a layer, as they are stored.
  double vector_bytes() const { return slots() * 2 * head_dim * element_bytes(stored); }
  /// The token's queries, and the output: fp32.
  double query_bytes() const { return 2 * layer_rows() * group * head_dim * 4; }
  /// The token's key and value, read as fp32 and written as they are stored.
  double token_bytes() const { return layer_rows() * 2 * head_dim * (4.0 + element_bytes(stored)); }

  /// The fewest bytes that a layer's pass must move.
  double bytes() const {
    switch (what) {
      case part::attention: return vector_bytes() + query_bytes();
      case part::step: return vector_bytes() + query_bytes() + token_bytes() + slots() * step_state_bytes(policy);
      case part::step_and_gather: return 3 * vector_bytes() + query_bytes() + token_bytes() + slots() * step_state_bytes(policy);
      case part::append: return token_bytes() + (decides_before_append() ? slots() * choice_state_bytes(policy) : 0);
      case part::evict: return slots() * choice_state_bytes(policy);
    }
    return 0;
  }
  bool decides_before_append() const {
    return policy == policy_kind::heavy_hitter || policy == policy_kind::key_norm || policy == policy_kind::lsh_64;
  }
  /// Layers in turn, so that none of what a pass reads was left in an L2 of `l2` bytes by the pass before: five times as much, as far as
  /// 256 layers and 24 GB go.
  std::uint32_t layers(double l2) const {
    double const most = std::clamp(24e9 / vector_bytes(), 1.0, 256.0);
    return static_cast<std::uint32_t>(std::clamp(5 * l2 / bytes() + 1, 1.0, most));
  }
  /// Tokens that arrive, masses that columns are fed with at first, and what the runtime takes for itself.
  static constexpr double memory_beside = 3e8;
  /// Device memory that the cache and its inputs take.
  double memory(double l2) const {
    double const gathered = what == part::step_and_gather ? vector_bytes() : 0;
    return layers(l2) * (vector_bytes() + slots() * 28) + gathered + slots() * 4 * group + memory_beside;
  }
  kvsift::cache_shape shape(double l2) const { return {layers(l2), kv_heads, group, head_dim, batch}; }

  std::string name() const {
    std::string n = name_of(what);
    if (what != part::attention) n = n + "/" + name_of(policy);
    n = n + "/" + name_of(stored) + "/" + name_of(placed);
    return n + "/D" + std::to_string(head_dim) + "/g" + std::to_string(group) + "/B" + std::to_string(held) + "/b" + std::to_string(batch);
  }
};

/// Whether the program was compiled for this: every policy for bf16 in rows, the usual ones for fp16 in rows, roco for the others.
inline bool compiled(decode_case const& c) {
  if (c.policy == policy_kind::none || c.policy == policy_kind::roco) return true;
  if (c.placed != placement::rows || c.stored == storage::fp32 || c.stored == storage::fp8) return false;
  return c.stored == storage::bf16 || c.policy == policy_kind::heavy_hitter || c.policy == policy_kind::tova;
}

/// All rows of decode: shapes of the matrix, each with what was compiled.
inline std::vector<decode_case> decode_matrix() {
  std::vector<decode_case> all;
  auto const add = [&](decode_case const& c) {
    if (compiled(c)) all.push_back(c);
  };
  for (storage const stored : {storage::bf16, storage::fp16, storage::fp8, storage::fp32})
    for (placement const placed : {placement::rows, placement::pages})
      for (std::uint32_t const dim : {128u, 64u})
        for (std::uint32_t const group : {1u, 4u, 8u})
          for (std::uint32_t const held : {512u, 2048u, 8192u, 32768u})
            for (std::uint32_t const batch : {1u, 8u, 64u}) {
              decode_case c{part::attention, policy_kind::none, stored, placed, dim, group, 8, held, batch};
              add(c);
              c.what = part::step;
              for (policy_kind const k : {policy_kind::none, policy_kind::accumulated_attention, policy_kind::roco, policy_kind::heavy_hitter,
                                          policy_kind::tova, policy_kind::streaming_llm}) {
                c.policy = k;
                add(c);
              }
              if (stored != storage::bf16 || placed != placement::rows || group != 4) continue;
              c.what = part::step_and_gather;
              c.policy = policy_kind::roco;
              add(c);
              c.what = part::evict;
              for (policy_kind const k : {policy_kind::accumulated_attention, policy_kind::roco, policy_kind::tova, policy_kind::key_norm}) {
                c.policy = k;
                add(c);
              }
              c.what = part::append;
              for (policy_kind const k : {policy_kind::key_norm, policy_kind::lsh_64, policy_kind::ragged}) {
                c.policy = k;
                add(c);
              }
            }
  return all;
}

/// A prompt of one sequence, whose attention was somebody else's, cut down to `budget`: the mass of its last queries, selection, survivors.
struct prompt_case {
  std::uint32_t tokens = 32768;
  std::uint32_t budget = 2048;
  std::uint32_t window = 32;
  std::uint32_t kv_heads = 8, group = 4, head_dim = 128;

  double key_bytes() const { return static_cast<double>(tokens) * kv_heads * head_dim * 4; }
  double mass_bytes() const { return static_cast<double>(tokens) * kv_heads * 4; }
  /// K once for the mass, which is written; then read, and K and V of what stays read and written in bf16.
  double bytes() const {
    double const kept = static_cast<double>(budget) * kv_heads * head_dim * 2 * (4 + 2);
    double const queries = static_cast<double>(window) * kv_heads * group * head_dim * 4;
    return key_bytes() + queries + 2 * mass_bytes() + kept;
  }
  /// Multiplications and additions of the causal attention over the whole prompt.
  double attention_flops() const { return 2.0 * tokens * tokens * kv_heads * group * head_dim; }
  std::string name() const {
    return "compress/snapkv/bf16/rows/D" + std::to_string(head_dim) + "/g" + std::to_string(group) + "/L" + std::to_string(tokens) + "/C" +
           std::to_string(budget);
  }
};

/// The lowest `count` of each of `rows` rows of `length` scores.
struct select_case {
  std::uint32_t rows = 8, length = 32768, count = 2048;
  double bytes() const { return 4.0 * rows * length; }
  std::string name() const { return "select/r" + std::to_string(rows) + "/n" + std::to_string(length) + "/k" + std::to_string(count); }
  /// Of a way that sorts all.
  std::string sorted_name(char const* way) const { return std::string(way) + "/r" + std::to_string(rows) + "/n" + std::to_string(length); }
};
inline std::vector<select_case> select_matrix() {
  std::vector<select_case> all;
  for (std::uint32_t const rows : {8u, 64u, 256u, 1024u})
    for (std::uint32_t const length : {1024u, 2048u, 8192u, 32768u, 131072u})
      for (std::uint32_t const count : {256u, 1024u, 2048u, 8192u})
        if (count < length) all.push_back({rows, length, count});
  return all;
}

/// Slots that leave rows scattered, one in `one_in`, and what has to move for it: everything behind the first hole, or the last into the holes.
struct move_case {
  bool keeps_order = false;
  std::uint32_t rows = 512, held = 8192, one_in = 10, head_dim = 128;

  std::uint32_t victims() const { return held / one_in; }
  /// Read and written: K and V in bf16, of each slot that moves.
  double bytes() const {
    double const victims_before = static_cast<double>(victims()) * (held - victims()) / held;  // that leave a hole before the new end
    double const moved = keeps_order ? held - victims() : victims_before;
    return 2.0 * rows * moved * 2 * head_dim * 2;
  }
  std::string name() const {
    return std::string("move/") + (keeps_order ? "keep_order" : "fill_holes") + "/bf16/D" + std::to_string(head_dim) + "/B" + std::to_string(held) +
           "/rows" + std::to_string(rows);
  }
};

/// One token of the reference model with random weights, at batch 1, greedy: the whole step, captured.
struct model_case {
  char const* title = "1b";
  std::uint32_t layers = 16, dim = 2048, heads = 32, kv_heads = 8, head_dim = 64, hidden = 8192, vocab = 32000;
  policy_kind policy = policy_kind::roco;
  std::uint32_t held = 2048;
  std::uint32_t tokens = 0;  ///< 0: as many as samples ask for; else so many, the last against the first

  double weights() const {
    double const attention = static_cast<double>(dim) * head_dim * (2 * heads + 2 * kv_heads), feed = 3.0 * dim * hidden;
    return layers * (attention + feed) + static_cast<double>(vocab) * dim;
  }
  /// Of all layers' cache, in bf16.
  decode_case cache() const {
    return {part::step, policy, storage::bf16, placement::rows, head_dim, heads / kv_heads, kv_heads, held, 1};
  }
  /// Weights in 16 bits, once, and each layer's step.
  double bytes() const { return 2 * weights() + layers * cache().bytes(); }
  std::string name() const {
    std::string const way = tokens == 0 ? "" : "/tokens" + std::to_string(tokens);
    return std::string("model/") + title + "/" + name_of(policy) + "/bf16/rows/B" + std::to_string(held) + way;
  }
};

}  // namespace bench
