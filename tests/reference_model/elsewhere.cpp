// The model where the host does not reach: in another memory, over blocks of several threads, and as a step that is replayed. One text
// serves all of them, and its logits are those of the CPU.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/exec/executor.hpp>
#include <kvsift/kvsift.hpp>
#include <reference_model/model/transformer.hpp>

#include <support/far_memory.hpp>
#include <support/thread_group.hpp>

#include "families.hpp"
#include "logits_apart.hpp"

namespace {

using namespace reference_model;
using u32 = std::uint32_t;

using tiny::apart;
using tiny::families;
using tiny::family;

kvsift::cache_shape shape_of(config const& c) { return {c.layers, c.kv_heads, c.group(), c.head_dim, 1}; }
kvsift::cache_options options(u32 threads = 1) { return {.capacity = 0, .max_piece = 10, .promised = 30, .group_threads = threads}; }

/// A cache that keeps the newest 12 tokens beside 2 sinks.
template <class Memory = kvsift::main_memory>
auto cache_of(config const& c, u32 threads = 1, Memory const& memory = {}) {
  auto const policy = kvsift::streaming_llm(2, 12);
  return kvsift::kv_tensor(shape_of(c), policy, options(threads), kvsift::original_positions{c.bias}, memory);
}

std::vector<u32> tokens_of(config const& c, u32 count) {
  std::vector<u32> tokens;
  for (u32 i = 0; i < count; ++i) tokens.push_back((i * 37 + 5) % c.vocab);
  return tokens;
}

/// Logits [pieces, vocab]: of a first piece of `prompt` tokens, then of tokens one by one up to `count`.
using rows = std::vector<std::vector<float>>;
template <class Executor, class Memory, class Cache>
rows logits_of_text(Executor const& on, model const& m, Cache& cache, u32 prompt, u32 count, Memory const& memory) {
  transformer_in<Memory> decoder(m, 10, logits_of::last_token, memory);
  std::vector<u32> const tokens = tokens_of(m.config, count);
  std::vector<u32> positions(count);
  for (u32 i = 0; i < count; ++i) positions[i] = i;
  rows all;
  for (u32 at = 0, n = prompt; at < count; at += n, n = 1) {
    float const* const logits = decoder.forward(on, cache, &tokens[at], &positions[at], n);
    std::vector<float> here(m.config.vocab);
    memory.copy_out(here.data(), reinterpret_cast<std::byte const*>(logits), here.size() * sizeof(float));
    all.push_back(here);
  }
  return all;
}

rows on_the_cpu(model const& m, u32 prompt, u32 count) {
  auto cache = cache_of(m.config);
  return logits_of_text(kvsift::serial_executor{}, m, cache, prompt, count, kvsift::main_memory{});
}

}  // namespace

TEST_CASE("in a memory that the host does not reach: the same bits, and no allocation or copy but of tokens and positions") {
  for (family const& f : families()) {
    CAPTURE(f.name);
    support::far_memory::counts counted;
    support::far_memory const far{&counted};
    auto cache = cache_of(f.weights.config, 1, far);
    CHECK(apart(logits_of_text(support::far_executor{}, f.weights, cache, 9, 30, far), on_the_cpu(f.weights, 9, 30)) <= 1e-5f);  // there a BLAS
    cache.clear();
    CHECK(logits_of_text(support::far_executor{}, f.weights, cache, 1, 30, far) == on_the_cpu(f.weights, 1, 30));
    transformer_in<support::far_memory> decoder(f.weights, 1, logits_of::last_token, far);
    u32 const token = 3, position = 30;
    decoder.take(&token, &position, 1);
    auto const before = counted;
    decoder.run(support::far_executor{}, cache, 1);
    decoder.pick(support::far_executor{}, 1);
    CHECK(counted.allocations == before.allocations);
    CHECK(counted.copies_in == before.copies_in);
    CHECK(counted.copies_out == before.copies_out);
  }
}

TEST_CASE("blocks of several threads: the logits of one thread, to rounding") {
  for (family const& f : families()) {
    CAPTURE(f.name);
    rows const want = on_the_cpu(f.weights, 9, 14);
    for (u32 const threads : {1u, 3u, 33u}) {
      CAPTURE(threads);
      auto cache = cache_of(f.weights.config, threads);
      CHECK(apart(logits_of_text(support::thread_group_executor{threads}, f.weights, cache, 9, 14, kvsift::main_memory{}), want) <=
            (threads == 1 ? 0.0f : 1e-5f));
    }
  }
}

namespace {

/// The device again: while it records, tasks are kept with what they were given, to be run again and again.
struct recording_executor {
  using is_executor = void;
  using space = support::far_space;
  std::vector<std::function<void()>>* kept;

  template <class Task>
  void launch(u32 blocks, Task const& task) const {
    auto const run = [blocks, task] { support::far_executor{}.launch(blocks, task); };
    if (kept != nullptr) kept->push_back(run);
    else run();
  }
};

/// Its products: what they were given is kept, too.
template <std::size_t Count>
void linear(recording_executor const& on, float const* x, u32 n, u32 columns, std::array<product, Count> const& products, void*) {
  auto const run = [x, n, columns, products] { reference_model::linear(support::far_executor{}, x, n, columns, products); };
  if (on.kept != nullptr) on.kept->push_back(run);
  else run();
}

}  // namespace

TEST_CASE("a recorded step of one token, replayed as lengths grow and tokens go, does what stepping does") {
  for (family const& f : families()) {
    CAPTURE(f.name);
    rows const want = on_the_cpu(f.weights, 1, 30);
    std::vector<u32> const tokens = tokens_of(f.weights.config, 30);
    support::far_memory::counts counted;
    support::far_memory const far{&counted};
    auto cache = cache_of(f.weights.config, 1, far);
    transformer_in<support::far_memory> decoder(f.weights, 10, logits_of::last_token, far);
    std::vector<u32> positions(30);
    for (u32 i = 0; i < 30; ++i) positions[i] = i;
    for (u32 at = 0; at < 9; ++at) decoder.forward(recording_executor{nullptr}, cache, &tokens[at], &positions[at], 1);
    std::vector<std::function<void()>> step;
    float const* const logits = decoder.run(recording_executor{&step}, cache, 1);
    REQUIRE(step.size() > f.weights.config.layers * 10);
    for (u32 at = 9; at < 30; ++at) {
      CAPTURE(at);
      decoder.take(&tokens[at], &positions[at], 1);
      if (at > 9) cache.count_replayed();
      for (auto const& launch : step) launch();
      std::vector<float> got(f.weights.config.vocab);
      far.copy_out(got.data(), logits, got.size() * sizeof(float));
      REQUIRE(got == want[at]);
    }
  }
}

TEST_CASE("a token is picked as the host would pick it: the likeliest, the first of equals, at the next position") {
  std::vector<family> all = families();
  family& f = all[0];
  config const& c = f.weights.config;
  for (u32 const threads : {1u, 5u}) {
    support::thread_group_executor const on{threads};
    auto cache = cache_of(c, threads), other = cache_of(c, threads);
    transformer decoder(f.weights, 10), by_host(f.weights, 10);
    std::vector<u32> const tokens = tokens_of(c, 9), positions{0, 1, 2, 3, 4, 5, 6, 7, 8};
    decoder.forward(on, cache, tokens.data(), positions.data(), 9);
    float const* logits = by_host.forward(on, other, tokens.data(), positions.data(), 9);
    for (u32 position = 9, n = 9; position < 20; ++position, n = 1) {
      auto const likeliest = static_cast<u32>(std::max_element(logits, logits + c.vocab) - logits);
      decoder.pick(on, n);
      REQUIRE(decoder.picked() == likeliest);
      decoder.run(on, cache, 1);
      logits = by_host.forward(on, other, &likeliest, &position, 1);
    }
  }
  std::copy_n(f.weights.unembedding.data(), c.dim, f.weights.unembedding.data() + 7 * c.dim);  // token 7 is as likely as token 0
  for (u32 i = c.dim; i < c.vocab * c.dim; ++i)
    if (i / c.dim != 7) f.weights.unembedding.data()[i] = 0;
  auto cache = cache_of(c);
  transformer decoder(f.weights);
  u32 const token = 1, position = 0;
  float const* const logits = decoder.forward(kvsift::serial_executor{}, cache, &token, &position, 1);
  decoder.pick(kvsift::serial_executor{}, 1);
  CHECK(decoder.picked() == (logits[0] > 0 ? 0u : 1u));
}
