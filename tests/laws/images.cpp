// An image of a cache is the cache: what goes on from it goes on as if nothing had been between, in another cache too;
// and an image that no cache can have come to is refused, or leads nowhere outside the cache's memory.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <laws/scenario.hpp>
#include <support/seeds.hpp>

namespace {

using laws::u32;

struct interrupted {
  laws::scenario s;
  kvsift::any_policy policy;
  kvsift::cache_options options;
  std::size_t at = 0;  // pieces before the image
};

/// Uniform budgets, budgets by head, heads that compete.
interrupted random_case(std::uint64_t seed) {
  support::draws d(seed + 5);
  laws::scenario s = laws::random_scenario(seed);
  kvsift::any_policy policy = s.policy.value();
  int const kind = d.between(0, 4);
  if (kind == 1 && !s.policy.shared) {
    std::vector<u32> limits;
    for (u32 i = 0; i < s.shape.layers * s.shape.kv_heads; ++i)
      limits.push_back(s.policy.limit + static_cast<u32>(d.between(0, 9)));
    policy = kvsift::to_any(kvsift::policy{kvsift::head_budgets{limits}, s.policy.first, s.policy.second});
  } else if (kind == 2) {
    policy = kvsift::to_any(kvsift::ada_snapkv(8, 3, 3, kvsift::pooling::max, 0.2));
    s.pieces = {static_cast<u32>(d.between(1, 25))};
  } else if (kind == 4) {
    kvsift::recipe_list recipes;
    recipes.add({1, 0.2}).add({0, 0.2, 0.3}).add({0, 0, 0, true});
    policy = kvsift::to_any(kvsift::hybrid(recipes, 0.8, 1));
    s.pieces = {static_cast<u32>(d.between(1, 25))};
  }
  if (kind != 0) s.pieces.resize(1);
  if (policy.facts().stride == 0 && !includes(policy.facts().moments, kvsift::moment::prompt_end))
    s.pieces[0] = std::min(s.pieces[0], s.policy.limit);
  while (s.pieces.size() < 20) s.pieces.push_back(1);
  kvsift::cache_options options = s.options();
  options.promised = 20;
  if (kind == 4) options.capacity = 45;
  return {s, policy, options, static_cast<std::size_t>(d.between(0, 19))};
}

laws::history part(laws::engine& cache, laws::scenario const& s, std::size_t begin, std::size_t end) {
  laws::history h;
  u32 seen = 0;
  for (std::size_t i = 0; i < end; ++i) {
    if (i >= begin) {
      cache.poison();
      laws::feed({}, cache, s.data, seen, s.pieces[i], h.out);
      h.after.push_back(cache.look());
    }
    seen += s.pieces[i];
  }
  return h;
}

}  // namespace

TEST_CASE("what goes on from an image goes on as if nothing had been between, in rows and in pages") {
  support::for_each_seed(120, [](std::uint64_t seed) {
    interrupted const c = random_case(seed);
    INFO(c.s.text(), ", image after ", c.at);
    auto const whole = laws::make_engine(c.s.shape, c.policy, c.options);
    part(*whole, c.s, 0, c.at);
    kvsift::cache_image const image = whole->image();
    laws::history const want = part(*whole, c.s, c.at, c.s.pieces.size());

    kvsift::cache_options roomy = c.options;
    roomy.promised += 7;
    for (auto const& other :
         {laws::make_engine(c.s.shape, c.policy, roomy), laws::make_paged_engine(c.s.shape, c.policy, c.options)}) {
      part(*other, c.s, 0, std::min<std::size_t>(c.at + 3, 20));  // it held something else before
      other->restore(image);
      REQUIRE(other->image() == image);
      REQUIRE(other->misplaced() == "");
      REQUIRE(laws::difference(part(*other, c.s, c.at, c.s.pieces.size()), want) == "");
    }
    whole->restore(image);
    REQUIRE(laws::difference(part(*whole, c.s, c.at, c.s.pieces.size()), want) == "");
  });
}

TEST_CASE("ranks are part of an image") {
  support::for_each_seed(20, [](std::uint64_t seed) {
    laws::scenario const s = laws::random_scenario(seed, 40, true);
    std::size_t const half = s.pieces.size() / 2;
    auto const a = laws::make_ranked_engine(s.shape, s.policy.value(), s.options(), {});
    auto const b = laws::make_ranked_engine(s.shape, s.policy.value(), s.options(), {});
    part(*a, s, 0, half);
    b->restore(a->image());
    REQUIRE(laws::difference(part(*b, s, half, s.pieces.size()), part(*a, s, half, s.pieces.size())) == "");
    auto const plain = laws::make_engine(s.shape, s.policy.value(), s.options());
    if (half > 0) CHECK_THROWS_AS(plain->restore(a->image()), kvsift::bad_argument);
  });
}

TEST_CASE("a cache that was planned for shorter prompts refuses heads that won more than it can hold") {
  kvsift::cache_shape const shape{1, 3, 1, 8, 1};
  kvsift::any_policy const policy = kvsift::to_any(kvsift::ada_snapkv(8, 2, 3, kvsift::pooling::max, 0.0));
  u32 refused = 0;
  support::for_each_seed(10, [&](std::uint64_t seed) {
    support::marked_vectors const data{seed, shape};
    std::vector<float> out;
    auto const cache = laws::make_engine(shape, policy, {.max_piece = 30, .promised = 4});
    laws::feed({}, *cache, data, 0, 30, out);
    kvsift::cache_image const image = cache->image();
    bool const even =
        std::all_of(image.states.begin(), image.states.end(), [](kvsift::row_state const& s) { return s.limit <= 8; });
    auto const other = laws::make_engine(shape, policy, {.max_piece = 3, .promised = 4});
    if (even) {
      CHECK_NOTHROW(other->restore(image));
    } else {
      CHECK_THROWS_AS(other->restore(image), kvsift::bad_argument);
      ++refused;
    }
  });
  CHECK(refused > 0);
}

TEST_CASE("a damaged image is refused and changes nothing, or is a cache that can go on") {
  u32 refused = 0, taken = 0;
  support::for_each_seed(300, [&](std::uint64_t seed) {
    interrupted const c = random_case(seed);
    INFO(c.s.text(), ", image after ", c.at);
    auto const cache = laws::make_engine(c.s.shape, c.policy, c.options);
    part(*cache, c.s, 0, c.at);
    kvsift::cache_image image = cache->image();
    support::draws d(seed + 9);
    auto const pick = [&](std::size_t n) { return static_cast<std::size_t>(d.between(0, static_cast<int>(n) - 1)); };
    u32 const values[] = {0, 1, 2, 7, 12, 100, 0x7fffffffu, 0xffffffffu};
    u32 const value = values[pick(8)];
    kvsift::row_state& state = image.states[pick(image.states.size())];
    switch (d.between(0, 10)) {
      case 0:
        state.held = value;
        break;
      case 1:
        state.next = value;
        break;
      case 2:
        state.limit = value;
        break;
      case 3:
        state.observed_from = value;
        break;
      case 4:
        state.fed_from = value;
        break;
      case 10:
        state.choice = value;
        break;
      case 5:
        image.held[pick(image.held.size())] = value;
        break;
      case 6:
        image.least_held[pick(image.least_held.size())] = value;
        break;
      case 7:
        if (!image.positions.empty()) image.positions[pick(image.positions.size())] = value;
        break;
      case 8:
        image.keys.resize(image.keys.size() / 2);
        break;
      default:
        if (!image.columns.empty()) image.columns[pick(image.columns.size())].data.push_back({});
        break;
    }
    kvsift::cache_image const before = cache->image();
    try {
      cache->restore(image);
      ++taken;
      for (int i = 0; i < 30; ++i) {  // it may be refused for its capacity, as any cache; it must not leave its memory
        std::vector<float> out;
        try {
          laws::feed({}, *cache, c.s.data, 40 + static_cast<u32>(i), 1, out);
        } catch (kvsift::bad_argument const&) {
          break;
        }
      }
    } catch (kvsift::bad_argument const&) {
      ++refused;
      REQUIRE(cache->image() == before);
    }
  });
  CHECK(refused > support::often(60));
  CHECK(taken > support::often(20));
}
