// A cache in memory that the host does not reach does what one in the host's memory does, and its verbs ask that memory for nothing.
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/evict/cache_image.hpp>
#include <kvsift/kvsift.hpp>
#include <kvsift/position/learned_align.hpp>
#include <support/far_memory.hpp>
#include <support/marked_vectors.hpp>
#include <support/policies.hpp>

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

constexpr cache_shape shape{2, 3, 2, 10, 2};
constexpr cache_options options{.capacity = 60, .max_piece = 40, .promised = 20};

/// A prompt of 40 tokens, then one at a time up to `to`; attention's outputs.
template <class Executor, class Cache>
std::vector<float> run(Executor const& on, Cache& cache, u32 from, u32 to) {
  support::marked_vectors const data{7, shape};
  std::vector<float> all;
  for (u32 seen = from, tokens = from == 0 ? 40 : 1; seen < to; seen += tokens, tokens = 1) {
    for (u32 layer = 0; layer < shape.layers; ++layer) {
      auto const p = data.make_piece(layer, seen, tokens);
      std::vector<std::uint8_t> const kinds(std::size_t{shape.sequences} * tokens, static_cast<std::uint8_t>(seen % 2));
      arrivals piece = p.view();
      piece.kinds = kinds.data();
      std::vector<float> out(p.queries.size());
      step(on, cache[layer], piece, out.data());
      all.insert(all.end(), out.begin(), out.end());
    }
    evict(on, cache);
  }
  return all;
}

/// Tasks are given no pointer to the host's memory.
template <class Bound>
bool lies_far(Bound const& b) {
  auto const far = [](auto const* p) { return p == nullptr || support::far_block::holds(p); };
  auto const planes = [&](auto const& v) {
    return far(v.keys) && far(v.values) && far(v.positions) && far(v.ranks) && far(v.columns) && far(v.states) && far(v.firsts) &&
           far(v.pages) && far(v.pool.free) && far(v.fell);
  };
  bool tables = true;
  for (auto const* stored : {&b.planes.stored, &b.work.staging.stored})
    stored->for_each([&]<class C>(C const& column, std::size_t) {
      if constexpr (std::is_same_v<C, signature>) tables = tables && far(column.projection);
    });
  return tables && planes(b.planes) && planes(b.work.staging) && far(b.work.blocks) && far(b.work.sums) && far(b.work.words) &&
         far(b.tables.paused) && far(b.tables.limits) && far(b.tables.rooms) && far(b.reading.table.cosines) && far(b.reading.table.sines);
}

template <class Here, class There>
void same(Here& here, There& there, support::far_memory::counts const& counted) {
  serial_executor const on;
  support::far_executor const far;
  CHECK(lies_far(there.bound()));
  CHECK(!lies_far(here.bound()));
  CHECK(image_of(there) == image_of(here));
  auto const before = counted;
  CHECK(run(far, there, 0, 48) == run(on, here, 0, 48));
  CHECK(counted.allocations == before.allocations);
  CHECK(counted.copies_in == before.copies_in);
  CHECK(counted.copies_out == before.copies_out);
  cache_image const image = image_of(here);
  CHECK(image.slots() != 0);
  CHECK(image_of(there) == image);
  auto const want = run(on, here, 48, 55);
  CHECK(run(far, there, 48, 55) == want);
  there.clear();
  CHECK(image_of(there).slots() == 0);
  restore(there, image);
  CHECK(image_of(there) == image);
  CHECK(run(far, there, 48, 55) == want);
  CHECK(image_of(there) == image_of(here));
  cache_image const first = image_of(here.sequence(0));
  CHECK(image_of(there.sequence(0)) == first);
  clear(far, there.sequence(0));
  CHECK(image_of(there.sequence(0)).slots() == 0);
  restore(there.sequence(0), first);
  CHECK(image_of(there) == image_of(here));
}

template <class Position = original_positions, class Placement = in_rows>
void every_policy() {
  std::vector<support::named_policy> all = support::named_policies(16);
  recipe_list recipes;
  recipes.add({1, 0.2}).add({0, 0.2, 0.3}).add({0, 0, 0, true});
  all.push_back({"hybrid", to_any(hybrid(recipes, 0.8, 1))});
  for (support::named_policy const& named : all) {
    if (Position::keys == keys_are::unrotated && named.value.facts().prompt_queries) continue;
    CAPTURE(named.name);
    support::far_memory::counts counted;
    kv_tensor here{shape, named.value, options, Position{}, dropped{}, Placement{}};
    kv_tensor there{shape, named.value, options, Position{}, dropped{}, Placement{}, support::far_memory{&counted}};
    CHECK(counted.allocations >= 2);
    same(here, there, counted);
  }
}

}  // namespace

TEST_CASE("every named policy in another memory, in rows") { every_policy(); }
TEST_CASE("every named policy in another memory, in pages, its keys turned on reading") { every_policy<in_cache_positions, in_pages>(); }

TEST_CASE("heads of different budgets, and the usual parts left out") {
  policy const by_head{head_budgets{{8, 20, 12, 9, 30, 16}}, over_budget(mean_attention{}, protect{2, 4})};
  support::far_memory::counts counted;
  kv_tensor here{shape, by_head, options};
  kv_tensor there{shape, by_head, options, support::far_memory{&counted}};
  CHECK(counted.allocations == 2);  // planes and workspace
  same(here, there, counted);
}

TEST_CASE("networks are copied to where the cache is") {
  std::vector<float> weights(64);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 7) / 16 - 0.2f;
  auto const some = [&](std::size_t n) { return span<float const>{weights.data(), n}; };
  // positions 16 x 1, layers 2 x 1, heads 3 x 1; 10 + 3 inputs, 4 units, 2 units
  align_network const net({some(16), some(2), some(3), some(52), some(4), some(8), some(2), some(20), some(10)}, 10, 2, 3, 16);
  support::far_memory::counts counted;
  support::far_memory const far{&counted};
  support::far_block const copies = far.allocate(net.floats() * sizeof(float));
  learned_align const rule{net.view(), net.view(), 2};
  align_view const copied = net.copied(far, reinterpret_cast<float*>(copies.data()));
  auto const chosen = streaming_llm(2, 12);
  kv_tensor here{shape, chosen, options, rule};
  kv_tensor there{shape, chosen, options, learned_align{copied, copied, 2}, dropped{}, in_rows{}, far};
  same(here, there, counted);
}

TEST_CASE("an executor of larger groups than the cache is planned for is refused, and nothing is changed") {
  support::far_memory::counts counted;
  kv_tensor cache{shape, roco(16, 2, 3), cache_options{.max_piece = 40, .group_threads = 32}, support::far_memory{&counted}};
  cache_image const before = image_of(cache);
  CHECK_THROWS_WITH_AS(run(support::far_executor{64}, cache, 0, 40),
                       "threads of the executor is 64; the cache is planned for smaller groups; give cache_options.group_threads as many", bad_argument);
  CHECK(image_of(cache) == before);
  CHECK_NOTHROW(run(support::far_executor{32}, cache, 0, 40));
}

TEST_CASE("steps that ran without the verbs are counted, and refused where there is no room") {
  kv_tensor small{shape, full(), cache_options{.capacity = 2}};
  run(serial_executor{}, small, 55, 56);
  small.count_replayed();
  CHECK_THROWS_WITH_AS(small.count_replayed(), "slots held is 2; are all there are, and no rule of the policy makes room; plan a larger capacity",
                       bad_argument);
  CHECK(small.held(0) == 2);
  kv_tensor late{shape, roco(4, 1, 2), cache_options{.max_piece = 5}};  // room for five: the newest is there until somebody evicts
  serial_executor const serial;
  for (u32 s = 0; s < shape.sequences; ++s)
    for (u32 l = 0; l < shape.layers; ++l) {
      support::marked_vectors::piece p;
      support::marked_vectors{1, shape}.add_sequence(p, l, s, 0, s == 0 ? 4 : 3);
      std::vector<float> out(p.queries.size());
      step(serial, late.sequence(s)[l], p.view(), out.data());
    }
  for (u32 l = 0; l < shape.layers; ++l) {
    auto const p = support::marked_vectors{1, shape}.make_piece(l, 4, 1);
    std::vector<float> out(p.queries.size());
    step(serial, late[l], p.view(), out.data());
  }
  CHECK_THROWS_WITH_AS(late.count_replayed(), "slots held is 5; are all there are; evict before the step is launched again", bad_argument);
  evict(serial, late.sequence(0));
  CHECK_NOTHROW(late.count_replayed());
  for (bool const before : {false, true}) {
    any_policy const chosen = before ? to_any(recent_global(16, 2)) : to_any(roco(16, 2, 3));
    kv_tensor stepped{shape, chosen, options}, counted{shape, chosen, options};
    serial_executor const on;
    run(on, stepped, 55, 60);
    run(on, counted, 55, 56);
    for (u32 tokens = 5; tokens < 30; ++tokens) {
      for (u32 layer = 0; layer < shape.layers; ++layer) CHECK(counted.held(layer) <= 16);
      counted.count_replayed();
      if (tokens > 8) run(on, stepped, 55 + tokens, 56 + tokens);
    }
    for (u32 layer = 0; layer < shape.layers; ++layer) {
      CHECK(counted.held(layer) == stepped.held(layer));
      CHECK(counted.counted(layer, 0) == stepped.counted(layer, 0));
    }
  }
}
