// On a GPU: what a policy decides there is what it decides on the CPU, bit for bit where columns are equal; in a captured graph, too.
// Vectors and masses are small multiples of powers of two, so that sums of them are exact in any order, fused or not. Left out are the
// policies whose columns or scores are not: signatures, cosines and the encodings of expected_attention.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <device/gpu.hpp>
#include <device/verbs.hpp>
#include <kvsift/cuda/graph.hpp>
#include <support/marked_vectors.hpp>
#include <support/policies.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

constexpr cache_shape shape{2, 3, 2, 10, 2};
constexpr u32 prompt = 30, pitch = 80;

cache_options options(u32 threads) { return {.capacity = 70, .max_piece = prompt, .promised = 30, .group_threads = threads}; }

/// Masses of one layer at one moment [sequences, kv_heads, pitch].
std::vector<float> masses(u32 layer, u32 seen) {
  std::vector<float> m(shape.layer_rows() * std::size_t{pitch});
  for (std::size_t i = 0; i < m.size(); ++i) m[i] = static_cast<float>((i * 7 + seen * 5 + layer * 3 + i / pitch) % 16) / 64.0f;
  return m;
}

std::vector<support::named_policy> policies(bool unrotated) {
  std::vector<support::named_policy> exact;
  for (support::named_policy const& named : support::named_policies(16)) {
    bool const inexact = named.name.starts_with("lsh") || named.name == "keydiff" || named.name == "expected_attention";
    if (!inexact && !(unrotated && named.value.facts().prompt_queries)) exact.push_back(named);
  }
  recipe_list recipes;
  recipes.add({1, 0.2}).add({0, 0.2, 0.3}).add({0, 0, 0, true});
  exact.push_back({"hybrid", to_any(hybrid(recipes, 0.8, 1))});
  return exact;
}

/// One token's inputs of every layer, on the device, at places that stay.
struct inputs {
  std::vector<device::array<float>> keys, values, queries, mass;

  explicit inputs(cudaStream_t s) {
    std::size_t const vectors = std::size_t{shape.sequences} * shape.kv_heads * shape.head_dim;
    for (u32 l = 0; l < shape.layers; ++l) {
      keys.emplace_back(s, vectors);
      values.emplace_back(s, vectors);
      queries.emplace_back(s, vectors * shape.group);
      mass.emplace_back(s, shape.layer_rows() * std::size_t{pitch});
    }
  }
  void take(support::marked_vectors const& data, u32 seen) {
    for (u32 l = 0; l < shape.layers; ++l) {
      auto const p = data.make_piece(l, seen, 1);
      keys[l] = p.keys;
      values[l] = p.values;
      queries[l] = p.queries;
      mass[l] = masses(l, seen);
    }
  }
};

/// A prompt by its masses, then tokens one by one with theirs: there the same steps, or one graph of them again and again. On the way one of
/// the two sequences pauses, and the other begins again with another prompt.
template <class Cache, class Host, class... Given>
void decides_the_same(device::where on, support::named_policy const& named, bool captured, Given const&... given) {
  using verbs = device::verbs<Cache>;
  CAPTURE(named.name);
  CAPTURE(on.threads);
  CAPTURE(captured);
  support::marked_vectors const data{9, shape};
  serial_executor const serial;
  Host here{shape, named.value, options(on.threads), given...};
  Cache there = [&] {
    if constexpr (sizeof...(given) == 0) return Cache{shape, named.value, options(on.threads), cuda::memory{on.stream}};
    else return Cache{shape, named.value, options(on.threads), given..., cuda::memory{on.stream}};
  }();
  bool const cut = includes(named.value.facts().moments, moment::prompt_end);
  u32 const first = cut ? prompt : 7;  // a prompt that fits is written whole
  for (u32 l = 0; l < shape.layers; ++l) {
    auto const p = data.make_piece(l, 0, first);
    std::vector<float> const m = masses(l, 1);
    prompt_masses const given_here{m.data(), m.data(), m.data(), m.data(), pitch, m.data()};
    compress(serial, here[l], p.keys.data(), p.values.data(), first, given_here);
    device::array<float> const keys(on.stream, p.keys), values(on.stream, p.values), mass(on.stream, m);
    verbs::compress(on, there, l, {nullptr, keys.data(), values.data(), first},
                    {mass.data(), mass.data(), mass.data(), mass.data(), pitch, mass.data()});
  }
  REQUIRE(image_of(there) == image_of(here));

  inputs in(on.stream);
  auto const token = [&] {
    for (u32 l = 0; l < shape.layers; ++l) {
      verbs::append(on, there, l, {in.queries[l].data(), in.keys[l].data(), in.values[l].data(), 1});
      verbs::observe(on, there, l, in.mass[l].data(), pitch);
    }
    verbs::evict(on, there);
  };
  cuda::graph graph;
  for (u32 seen = first; seen < first + 25; ++seen) {
    in.take(data, seen);
    for (u32 l = 0; l < shape.layers; ++l) {
      auto const p = data.make_piece(l, seen, 1);
      append(serial, here[l], p.keys.data(), p.values.data(), p.queries.data());
      observe(serial, here[l], masses(l, seen).data(), pitch);
    }
    evict(serial, here);
    if (!captured) {
      token();
    } else {
      if (seen == first) graph = cuda::graph::capture(on.stream, token);
      else there.count_replayed();
      graph.launch(on.stream);
    }
    REQUIRE(image_of(there) == image_of(here));
    u32 const token_number = seen - first;
    if (token_number == 6 || token_number == 14) {
      bool const paused = token_number == 6;
      if (paused) pause(serial, here.sequence(1));
      else resume(serial, here.sequence(1));
      verbs::set_paused(on, there, 1, paused);
    }
    if (token_number != 9) continue;
    clear(serial, here.sequence(0));
    verbs::clear_one(on, there, 0);
    REQUIRE(image_of(there) == image_of(here));
    for (u32 l = 0; l < shape.layers; ++l) {
      support::marked_vectors::piece p;
      data.add_sequence(p, l, 0, 0, first);
      std::vector<float> m = masses(l, 2);
      m.resize(shape.kv_heads * std::size_t{pitch});
      prompt_masses const given_here{m.data(), m.data(), m.data(), m.data(), pitch, m.data()};
      compress(serial, here.sequence(0)[l], p.keys.data(), p.values.data(), first, given_here);
      device::array<float> const keys(on.stream, p.keys), values(on.stream, p.values), mass(on.stream, m);
      verbs::compress_one(on, there, 0, l, {nullptr, keys.data(), values.data(), first},
                          {mass.data(), mass.data(), mass.data(), mass.data(), pitch, mass.data()});
    }
    REQUIRE(image_of(there) == image_of(here));
  }
}

}  // namespace

TEST_CASE("equal columns, equal decisions: in rows") {
  if (!device::gpu_is_there()) return;
  device::stream const s;
  for (support::named_policy const& named : policies(false))
    for (u32 const threads : {1u, 33u, 128u})
      for (bool const captured : {false, true})
        decides_the_same<device::rows_cache, kv_tensor<any_policy>>({s.value, threads}, named, captured);
}

TEST_CASE("equal columns, equal decisions: in pages, with ranks") {
  if (!device::gpu_is_there()) return;
  device::stream const s;
  using host = kv_tensor<any_policy, bf16_payload, in_cache_positions, dropped, in_pages>;
  for (support::named_policy const& named : policies(true))
    for (bool const captured : {false, true})
      decides_the_same<device::pages_cache, host>({s.value, 128}, named, captured, in_cache_positions{}, dropped{}, in_pages{});
}

TEST_CASE("attention is that of the CPU, to rounding, where decisions do not hang on it") {
  if (!device::gpu_is_there()) return;
  device::stream const s;
  device::where const on{s.value, 128};
  support::marked_vectors const data{11, shape};
  for (any_policy const& chosen : {to_any(full()), to_any(streaming_llm(4, 12)), to_any(recent_global(16, 4))}) {
    kv_tensor here{shape, chosen, options(128)};
    device::rows_cache there{shape, chosen, options(128), cuda::memory{s.value}};
    for (u32 seen = 0, tokens = prompt; seen < prompt + 20; seen += tokens, tokens = 1) {
      for (u32 l = 0; l < shape.layers; ++l) {
        auto const p = data.make_piece(l, seen, tokens);
        std::vector<float> want(p.queries.size());
        step(serial_executor{}, here[l], p.view(), want.data());
        device::array<float> const q(s.value, p.queries), k(s.value, p.keys), v(s.value, p.values), out(s.value, want.size());
        device::verbs<device::rows_cache>::step(on, there, l, {q.data(), k.data(), v.data(), tokens}, out.data());
        std::vector<float> const got = out.host();
        for (std::size_t i = 0; i < want.size(); ++i) REQUIRE(std::fabs(got[i] - want[i]) <= 1e-5f * (1 + std::fabs(want[i])));
      }
      evict(serial_executor{}, here);
      device::verbs<device::rows_cache>::evict(on, there);
    }
    CHECK(image_of(there).positions == image_of(here).positions);
  }
}

TEST_CASE("a cache may go while work on it is queued") {
  if (!device::gpu_is_there()) return;
  device::stream const s;
  for (int i = 0; i < 20; ++i) {
    device::rows_cache cache{shape, to_any(roco(16, 2, 3)), options(128), cuda::memory{s.value}};
    device::verbs<device::rows_cache>::evict({s.value, 128}, cache);
  }
  CHECK(cudaStreamSynchronize(s.value) == cudaSuccess);
}
