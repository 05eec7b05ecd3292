// What a step of the reference model enqueues: launches and products, all on the one stream, and nothing else.
#include <cstdint>

#include <doctest/doctest.h>

#include <capture/recording_runtime.hpp>
#include <device/model_cache.hpp>
#include <kvsift/cuda/graph.hpp>
#include <reference_model/families.hpp>

namespace {

using namespace kvsift;
using capture::asked;
using capture::recorded;
using u32 = std::uint32_t;

cudaStream_t const stream = reinterpret_cast<cudaStream_t>(0x40);

}  // namespace

TEST_CASE("a token: so many launches and products a layer, on the given stream, and no allocation, copy or wait") {
  for (tiny::family const& f : tiny::families()) {
    CAPTURE(f.name);
    reference_model::config const& c = f.weights.config;
    cache_options const options{.max_piece = 9, .promised = 20, .group_threads = 128};
    device::model_cache<device::rows_cache> cache(device::rows_cache({c.layers, c.kv_heads, c.group(), c.head_dim, 1}, to_any(streaming_llm(2, 12)),
                                                                     options, original_positions{c.bias}, cuda::memory{stream}));
    reference_model::cuda_transformer decoder({stream, 128}, f.weights, 9);
    bool const slows_down = c.rotation.scaling == rotary_scaling::dynamic_ntk, gated = c.between == reference_model::activation::gated_silu;
    bool const heads = c.rotation.theta != 0 || c.input_bias || c.head_norms;
    u32 const launches = 3 + (slows_down ? 1 : 0) + c.layers * (heads ? 8 : 7), products = 1 + c.layers * (gated ? 7 : 6);
    for (u32 token = 0; token < 20; ++token) {
      decoder.take(&token, &token, 1);
      recorded().calls.clear();
      decoder.run(cache, 1);
      CHECK(recorded().count(asked::launch) == launches);
      CHECK(recorded().count(asked::product) == products);
      CHECK(recorded().calls.size() == launches + products);
      for (capture::call const& call : recorded().calls) CHECK(call.stream == stream);
      recorded().calls.clear();
      decoder.pick(1);
      CHECK(recorded().count(asked::launch) == 1);
      CHECK(recorded().calls.size() == 1);
    }
  }
  CHECK(recorded().in_use == 0);
}

TEST_CASE("a token's input is one copy, and its step is captured whole") {
  tiny::family const f = std::move(tiny::families()[0]);
  reference_model::config const& c = f.weights.config;
  device::model_cache<device::rows_cache> cache(device::rows_cache({c.layers, c.kv_heads, c.group(), c.head_dim, 1}, to_any(streaming_llm(2, 12)),
                                                                   {.max_piece = 9, .group_threads = 128}, cuda::memory{stream}));
  reference_model::cuda_transformer decoder({stream, 128}, f.weights, 9);
  u32 const token = 1, position = 0;
  recorded().calls.clear();
  decoder.take(&token, &position, 1);
  CHECK(recorded().count(asked::copy) == 1);
  CHECK(recorded().count(asked::wait) == 1);
  CHECK(recorded().calls.size() == 2);
  cuda::graph const step = cuda::graph::capture(stream, [&] { decoder.run(cache, 1); });
  recorded().calls.clear();
  decoder.take(&token, &position, 1);
  CHECK_THROWS_AS(decoder.take(&c.vocab, &position, 1), bad_argument);
}
