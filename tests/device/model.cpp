// The reference model on a GPU: its logits are the CPU's, step by step and in a captured graph as lengths grow and tokens go.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <device/gpu.hpp>
#include <device/model_cache.hpp>
#include <kvsift/cuda/graph.hpp>
#include <reference_model/families.hpp>
#include <reference_model/logits_apart.hpp>
#include <reference_model/model/transformer.hpp>

namespace {

using namespace kvsift;
using reference_model::config;
using reference_model::cuda_transformer;
using reference_model::model;
using reference_model::transformer;
using tiny::apart;
using u32 = std::uint32_t;
using rows_of_logits = std::vector<std::vector<float>>;

constexpr u32 prompt = 9, count = 40;
constexpr cache_options options{.max_piece = prompt, .promised = count, .group_threads = 128};

cache_shape shape_of(config const& c) { return {c.layers, c.kv_heads, c.group(), c.head_dim, 1}; }
/// Of keys where they stood, 14 slots a head; what goes does not hang on scores.
any_policy short_policy() { return to_any(streaming_llm(2, 12)); }

device::model_cache<device::rows_cache> rows_cache(config const& c, cudaStream_t stream) {
  return device::model_cache<device::rows_cache>(
      device::rows_cache(shape_of(c), short_policy(), options, original_positions{c.bias}, cuda::memory{stream}));
}

std::vector<u32> text(config const& c) {
  std::vector<u32> tokens;
  for (u32 i = 0; i < count; ++i) tokens.push_back((i * 37 + 5) % c.vocab);
  return tokens;
}
std::vector<u32> numbers() {
  std::vector<u32> positions;
  for (u32 i = 0; i < count; ++i) positions.push_back(i);
  return positions;
}

template <class Cache>
rows_of_logits on_the_cpu(model const& m, Cache cache) {
  transformer decoder(m, prompt);
  std::vector<u32> const tokens = text(m.config), positions = numbers();
  rows_of_logits all;
  for (u32 at = 0, n = prompt; at < count; at += n, n = 1) {
    float const* const logits = decoder.forward(serial_executor{}, cache, &tokens[at], &positions[at], n);
    all.emplace_back(logits, logits + m.config.vocab);
  }
  return all;
}
rows_of_logits on_the_cpu(model const& m) {
  return on_the_cpu(m, kv_tensor<any_policy>(shape_of(m.config), short_policy(), options, original_positions{m.config.bias}));
}

/// The same on a GPU; the single tokens in a graph, if they are to be captured.
template <class Cache>
rows_of_logits on_a_gpu(cudaStream_t stream, model const& m, device::model_cache<Cache> cache, bool captured) {
  cuda_transformer decoder({stream, 128}, m, prompt);
  std::vector<u32> const tokens = text(m.config), positions = numbers();
  cuda::memory<> const memory(stream);
  cuda::graph step;
  rows_of_logits all;
  float const* logits = nullptr;
  for (u32 at = 0, n = prompt; at < count; at += n, n = 1) {
    decoder.take(&tokens[at], &positions[at], n);
    if (!captured || n > 1) {
      logits = decoder.run(cache, n);
    } else {
      if (at == prompt) step = cuda::graph::capture(stream, [&] { logits = decoder.run(cache, 1); });
      else cache.cache().count_replayed();
      step.launch(stream);
    }
    std::vector<float> here(m.config.vocab);
    memory.copy_out(here.data(), logits, here.size() * sizeof(float));
    all.push_back(here);
  }
  return all;
}

/// The same model with every matrix rounded, as a file that stores 16 bits would have it.
template <class Number>
void round_matrices(model& m) {
  auto const round = [](reference_model::floats& f) {
    for (std::size_t i = 0; i < f.size(); ++i) {
      Number narrow;
      from_float(f.data()[i], narrow);
      f.data()[i] = to_float(narrow);
    }
  };
  using weights = reference_model::layer_weights;
  round(m.embedding);
  round(m.unembedding);
  for (weights& w : m.layers)
    for (std::size_t i = 0; i < weights::all().size(); ++i)
      if (weights::is_matrix(i)) round(w.*weights::all()[i]);
}

}  // namespace

TEST_CASE("logits of every family are the CPU's, plainly and in a captured graph") {
  if (!device::gpu_is_there()) return;
  device::stream const s;
  for (tiny::family const& f : tiny::families()) {
    rows_of_logits const want = on_the_cpu(f.weights);
    for (bool const captured : {false, true}) {
      CAPTURE(f.name);
      CAPTURE(captured);
      CHECK(apart(on_a_gpu(s.value, f.weights, rows_cache(f.weights.config, s.value), captured), want) <= 1e-5f);
    }
  }
}

TEST_CASE("unrotated keys in pages, rounded to bf16: the CPU's logits as far as roundings fall alike") {
  if (!device::gpu_is_there()) return;
  device::stream const s;
  for (tiny::family const& f : tiny::families()) {
    config const& c = f.weights.config;
    if (c.learned_positions || c.rotation.scaling == rotary_scaling::dynamic_ntk) continue;
    in_cache_positions const by_rank{c.rotation, c.bias};
    rows_of_logits const want = on_the_cpu(
        f.weights, kv_tensor<any_policy, bf16_payload, in_cache_positions, dropped, in_pages>(shape_of(c), short_policy(), options, by_rank));
    for (bool const captured : {false, true}) {
      CAPTURE(f.name);
      CAPTURE(captured);
      device::model_cache<device::pages_cache> cache(
          device::pages_cache(shape_of(c), short_policy(), options, by_rank, cuda::memory{s.value}));
      CHECK(apart(on_a_gpu(s.value, f.weights, std::move(cache), captured), want) <= 2e-3f);
    }
  }
}

TEST_CASE("weights that were stored in 16 bits are multiplied in 16 bits") {
  if (!device::gpu_is_there()) return;
  device::stream const s;
  for (tiny::family& f : tiny::families()) {
    CAPTURE(f.name);
    round_matrices<fp16>(f.weights);
    float const in_fp16 = apart(on_a_gpu(s.value, f.weights, rows_cache(f.weights.config, s.value), true), on_the_cpu(f.weights));
    CHECK(in_fp16 > 1e-5f);  // inputs of products are rounded, too
    CHECK(in_fp16 <= 5e-3f);
    round_matrices<bf16>(f.weights);
    float const in_bf16 = apart(on_a_gpu(s.value, f.weights, rows_cache(f.weights.config, s.value), true), on_the_cpu(f.weights));
    CHECK(in_bf16 > in_fp16);
    CHECK(in_bf16 <= 4e-2f);
  }
}

TEST_CASE("a greedy text in one captured graph, of which the host sees the tokens alone") {
  if (!device::gpu_is_there()) return;
  device::stream const s;
  for (tiny::family const& f : tiny::families()) {
    CAPTURE(f.name);
    config const& c = f.weights.config;
    std::vector<u32> const tokens = text(c), positions = numbers();
    transformer by_host(f.weights, prompt);
    kv_tensor here(shape_of(c), short_policy(), options, original_positions{c.bias});
    auto cache = rows_cache(c, s.value);
    cuda_transformer decoder({s.value, 128}, f.weights, prompt);
    decoder.forward(cache, tokens.data(), positions.data(), prompt);
    decoder.pick(prompt);
    float const* logits = by_host.forward(serial_executor{}, here, tokens.data(), positions.data(), prompt);
    cuda::graph const step = cuda::graph::capture(s.value, [&] {
      decoder.run(cache, 1);
      decoder.pick(1);
    });
    for (u32 position = prompt; position < count; ++position) {
      auto const likeliest = static_cast<u32>(std::max_element(logits, logits + c.vocab) - logits);
      REQUIRE(decoder.picked() == likeliest);
      if (position > prompt) cache.cache().count_replayed();
      step.launch(s.value);
      logits = by_host.forward(serial_executor{}, here, &likeliest, &position, 1);
    }
  }
}
