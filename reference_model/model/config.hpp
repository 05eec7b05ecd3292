#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <kvsift/core/linear_bias.hpp>
#include <kvsift/core/rotary.hpp>
#include <reference_model/io/bad_file.hpp>

namespace reference_model {

/// How a vector of the residual stream is normalised: by its root mean square, or by mean and deviation.
enum class normalisation : std::uint32_t { root_mean_square, layer };

/// What happens between the matrices of the feed-forward: up x SiLU of a gate, or no gate and GELU, in its tanh form or exactly.
enum class activation : std::uint32_t { gated_silu, gelu, exact_gelu };

/// What fixes a model of the Llama, GPT-2 and MPT families. The defaults are Llama's.
struct config {
  std::uint32_t layers = 0;
  std::uint32_t dim = 0;       ///< of the residual stream
  std::uint32_t heads = 0;     ///< Hq, query heads
  std::uint32_t kv_heads = 0;  ///< Hkv; heads / kv_heads query heads share one
  std::uint32_t head_dim = 0;  ///< D
  std::uint32_t hidden = 0;    ///< width of the feed-forward
  std::uint32_t vocab = 0;
  std::uint32_t max_positions = 0;  ///< what the model was trained for; beyond it forward refuses learned positions only
  bool learned_positions = false;    ///< a vector for each position, added to the embedding; rotation.theta is 0 then
  kvsift::rotary_encoding rotation;  ///< of queries and keys; llama2.c: interleaved
  kvsift::linear_bias bias;          ///< of attention, in place of a rotation: MPT
  normalisation norm = normalisation::root_mean_square;
  double norm_eps = 1e-5;
  activation between = activation::gated_silu;
  bool input_bias = false;   ///< of query, key and value
  bool output_bias = false;  ///< of the attention's output
  bool feed_bias = false;    ///< of gate, up and down
  bool head_norms = false;   ///< queries and keys are normalised head by head before they turn: Qwen3
  bool tied = false;         ///< the unembedding is the embedding

  // Tokens with a meaning; where the file does not say, Llama's.
  std::uint32_t bos = 1;
  std::vector<std::uint32_t> ends{2};  ///< generation stops at one of these (and at bos)

  std::uint32_t group() const { return heads / kv_heads; }
};

/// How a file calls the fields of config; for messages.
struct config_names {
  char const* layers = "layers";
  char const* dim = "dim";
  char const* heads = "query heads";
  char const* kv_heads = "KV heads";
  char const* head_dim = "head_dim";
  char const* hidden = "hidden";
  char const* vocab = "vocab";
  char const* max_positions = "max_positions";
  char const* norm_eps = "norm_eps";
};

/// Throws bad_file naming the field unless the numbers fit together. Sizes are bounded so that no product overflows.
inline void check(config const& c, std::string_view file, config_names const& names = {}) {
  auto const refuse = [&](char const* field, std::string const& value, std::string const& limit) {
    throw bad_file(file, std::string(field) + " is " + value + "; " + limit + "; the file is damaged or of another kind");
  };
  auto const within = [&](char const* field, std::uint64_t value, std::uint64_t most) {
    if (value == 0 || value > most) refuse(field, std::to_string(value), "1 to " + std::to_string(most) + " is possible");
  };
  within(names.layers, c.layers, 4096);
  within(names.dim, c.dim, 1u << 17);
  within(names.heads, c.heads, 4096);
  within(names.kv_heads, c.kv_heads, 4096);
  within(names.head_dim, c.head_dim, 4096);
  within(names.hidden, c.hidden, 1u << 20);
  within(names.vocab, c.vocab, 1u << 24);
  within(names.max_positions, c.max_positions, 1u << 28);
  if (c.heads % c.kv_heads != 0)
    refuse(names.kv_heads, std::to_string(c.kv_heads),
           "it must divide the number of query heads, " + std::to_string(c.heads));
  if (!c.learned_positions && c.bias.none() && (!(c.rotation.theta > 0) || c.rotation.theta > 1e30))
    refuse("rope_theta", std::to_string(c.rotation.theta), "a positive number up to 1e30 is expected");
  if (c.rotation.turning(c.head_dim) % 2 != 0)
    refuse(names.head_dim, std::to_string(c.head_dim), "it must be even, for components rotate in pairs");
  if (!(c.norm_eps > 0) || c.norm_eps > 1)
    refuse(names.norm_eps, std::to_string(c.norm_eps), "a number above 0 and up to 1 is expected");
  if (c.bos >= c.vocab)
    refuse("the BOS token", std::to_string(c.bos), "it must be below " + std::string(names.vocab) + ", " + std::to_string(c.vocab));
}

}  // namespace reference_model
