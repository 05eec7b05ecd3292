// What the verbs enqueue on a CUDA stream, by policy: so many launches, all on that stream, and nothing else.
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <capture/recording_runtime.hpp>
#include <device/verbs.hpp>
#include <kvsift/cuda/graph.hpp>
#include <support/policies.hpp>

namespace {

using namespace kvsift;
using capture::asked;
using capture::recorded;
using u32 = std::uint32_t;

constexpr cache_shape shape{3, 2, 2, 8, 2};
constexpr cache_options options{.capacity = 80, .max_piece = 40, .promised = 20, .group_threads = 128};
cudaStream_t const stream = reinterpret_cast<cudaStream_t>(0x40);
device::where const on{stream, 128};

std::vector<support::named_policy> policies() {
  std::vector<support::named_policy> all = support::named_policies(16);
  all.push_back({"hybrid", to_any(hybrid(recipe_list{}.add({0, 0.3, 0.3}).add({0, 0, 0, true})))});
  all.push_back({"making room, shared", to_any(policy{uniform_budget{16}, at_prompt_end(oldest_first{}, protect{1}, pick::victims, unit::shared),
                                                      making_room(oldest_first{}, protect{1, 1}, unit::shared)})});
  return all;
}

/// Everything since `calls` was cleared was a launch on the stream, of whole blocks.
void only_launches(std::size_t count) {
  CHECK(recorded().calls.size() == count);
  for (capture::call const& c : recorded().calls) {
    REQUIRE(c.what == asked::launch);
    CHECK(c.stream == stream);
    CHECK(c.threads == 128);
    CHECK(c.blocks >= 1);
    CHECK(c.blocks <= shape.rows());
  }
  recorded().calls.clear();
}

template <class Cache, class... Given>
void counts_launches(Given const&... given) {
  using verbs = device::verbs<Cache>;
  float in[1] = {}, out[1] = {};
  for (support::named_policy const& named : policies()) {
    if (Cache::keys_are() == keys_are::unrotated && named.value.facts().prompt_queries) continue;
    CAPTURE(named.name);
    policy_facts const facts = named.value.facts();
    bool const after = includes(facts.moments, moment::after_attention), prompt_end = includes(facts.moments, moment::prompt_end);
    u32 const room = includes(facts.moments, moment::before_append) ? 1 : 0;  // is made in a launch of its own
    bool const measured = detail::heads_compete(named.value.budget) || detail::each_head_measures(named.value.budget);
    Cache cache{shape, named.value, options, given..., cuda::memory{stream}};
    recorded().calls.clear();

    u32 const prompt = named.name == "full" ? 10 : 40;
    if (prompt_end) {  // staged, scored, settled and written; a measured budget in between
      bool scored = true;
      detail::with_rule(named.value.rules, moment::prompt_end, [&](auto const& rule) {
        if constexpr (detail::acts<decltype(rule)>) scored = scored_by_chunks(rule);
      });
      for (u32 l = 0; l < shape.layers; ++l) verbs::step(on, cache, l, {in, in, in, prompt}, out);
      only_launches(shape.layers * (3 + (scored ? 1u : 0u) + (measured ? 1u : 0u)));
    } else {
      for (u32 l = 0; l < shape.layers; ++l) verbs::step(on, cache, l, {in, in, in, 1}, out);
      only_launches(shape.layers * (2 + room));
    }
    for (u32 token = 0; token < 3; ++token) {
      for (u32 l = 0; l < shape.layers; ++l) verbs::step(on, cache, l, {in, in, in, 1}, out);
      only_launches(shape.layers * (2 + room));
      verbs::evict(on, cache);
      only_launches(after ? 1 : 0);
    }
    for (u32 l = 0; l < shape.layers; ++l) {  // the parts of a step
      verbs::append(on, cache, l, {in, in, in, 1});
      only_launches(1 + room);
      verbs::attend(on, cache, l, in, out);
      only_launches(2);
      verbs::observe(on, cache, l, in, 80);
      only_launches(1);
      verbs::evict_layer(on, cache, l);
      only_launches(after ? 1 : 0);
    }
    for (bool const paused : {true, false}) {
      verbs::set_paused(on, cache, 1, paused);
      only_launches(1);
      for (u32 l = 0; l < shape.layers; ++l) verbs::step(on, cache, l, {in, in, in, 1}, out);  // whoever is paused
      only_launches(shape.layers * (2 + room));
      verbs::evict(on, cache);
      only_launches(after ? 1 : 0);
    }
    verbs::clear_one(on, cache, 1);
    only_launches(1);
  }
  CHECK(recorded().in_use == 0);
}

}  // namespace

TEST_CASE("a step makes as many launches as its verb says, on the given stream, and asks for nothing else") {
  counts_launches<device::rows_cache>();
  counts_launches<device::pages_cache>(in_cache_positions{}, dropped{}, in_pages{});
}

TEST_CASE("a token's blocks are those of the room that rows have, however many slots they hold") {
  device::rows_cache cache{shape, to_any(roco(600, 2, 3)), options, cuda::memory{stream}};
  float in[1] = {}, out[1] = {};
  recorded().calls.clear();
  for (u32 token = 0; token < 3; ++token) device::verbs<device::rows_cache>::step(on, cache, 1, {in, in, in, 1}, out);
  REQUIRE(recorded().calls.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(recorded().calls[i].blocks == shape.layer_rows() * chunks_of(601));
    CHECK(recorded().calls[i].kernel.find(i % 2 == 0 ? "attend_chunk_task" : "merge_chunks_task") != std::string::npos);
  }
}

TEST_CASE("an evict of all layers is one launch over all rows") {
  device::rows_cache cache{shape, to_any(roco(16, 2, 3)), options, cuda::memory{stream}};
  recorded().calls.clear();
  device::verbs<device::rows_cache>::evict(on, cache);
  REQUIRE(recorded().calls.size() == 1);
  CHECK(recorded().calls[0].blocks == shape.rows());
  CHECK(recorded().calls[0].kernel.find("cut_task") != std::string::npos);
}

TEST_CASE("memory that is not there is said in bytes, and what was taken goes back") {
  recorded().calls.clear();
  recorded().refused_above = 5000;
  std::string said;
  try {
    device::rows_cache cache{shape, to_any(roco(16, 2, 3)), options, cuda::memory{stream}};
  } catch (std::bad_alloc const& error) {
    said = error.what();
  }
  recorded().refused_above = ~std::size_t{0};
  std::size_t const bytes = device::rows_cache::plan(shape, to_any(roco(16, 2, 3)), options).cache.total();
  CHECK(said.find("bytes asked for are not there; lower the budget") != std::string::npos);
  CHECK(std::stoul(said.substr(said.find(": ") + 2)) >= bytes);
  CHECK(recorded().in_use == 0);
  CHECK(recorded().last == cudaSuccess);
}

namespace {

/// A pool of the user's own, as a handle.
struct counting_pool {
  std::size_t* in_use = nullptr;
  void* allocate(std::size_t bytes, cudaStream_t on_stream) const {
    if (on_stream != stream) return nullptr;
    *in_use += bytes;
    return std::calloc(bytes, 1);
  }
  void deallocate(void* pointer, std::size_t bytes, cudaStream_t) const {
    *in_use -= bytes;
    std::free(pointer);
  }
};

}  // namespace

TEST_CASE("a resource of the user's own is asked for everything, and given it back") {
  recorded().calls.clear();
  std::size_t in_use = 0;
  {
    kv_tensor cache{shape, to_any(roco(16, 2, 3)), options, cuda::memory{stream, counting_pool{&in_use}}};
    CHECK(in_use == cache.allocated_bytes() + cache.workspace_bytes());
    CHECK(recorded().count(asked::allocation) == 0);
    auto other = cuda::memory{stream, counting_pool{&in_use}}.allocate(100);
    other = cuda::memory{stream, counting_pool{&in_use}}.allocate(50);
  }
  CHECK(in_use == 0);
  CHECK_THROWS_AS((cuda::memory{nullptr, counting_pool{&in_use}}.allocate(10)), cuda::out_of_memory);
}

TEST_CASE("a launch that fails is an error that names the call, and is forgotten") {
  device::rows_cache cache{shape, to_any(roco(16, 2, 3)), options, cuda::memory{stream}};
  recorded().next_launch = cudaErrorInvalidConfiguration;
  CHECK_THROWS_WITH_AS(device::verbs<device::rows_cache>::evict(on, cache), "launch of cut_task: as recorded", cuda::error);
  CHECK(recorded().last == cudaSuccess);
  CHECK_NOTHROW(device::verbs<device::rows_cache>::evict(on, cache));
  CHECK_THROWS_AS(device::verbs<device::rows_cache>::evict({stream, 256}, cache), bad_argument);  // planned for 128
  CHECK_THROWS_AS(device::verbs<device::rows_cache>::evict({stream, 0}, cache), bad_argument);
}

TEST_CASE("a graph is captured from its stream, and a capture ends whatever happens in it") {
  recorded().calls.clear();
  cuda::graph const graph = cuda::graph::capture(stream, [] { CHECK(recorded().capturing); });
  graph.launch(stream);
  std::vector<asked> order;
  for (capture::call const& c : recorded().calls) order.push_back(c.what);
  CHECK(order == std::vector<asked>{asked::begin_capture, asked::end_capture, asked::instantiate, asked::graph_launch});
  CHECK_THROWS_AS(cuda::graph::capture(stream, [] { throw std::runtime_error("no"); }), std::runtime_error);
  CHECK(!recorded().capturing);
}
