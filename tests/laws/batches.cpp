// Sequences of a cache that begin, go on, pause and end by themselves: each is what it would be if all went on as it does.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/position/in_cache.hpp>
#include <laws/scenario.hpp>
#include <support/seeds.hpp>

namespace {

using laws::u32;
using support::any_executor;

/// What one sequence is fed, and a cache of which all sequences are fed so: its rows are what those of the batch have to be.
struct text {
  std::unique_ptr<laws::engine> alone{};
  u32 seen = 0;
  bool paused = false;
};

struct batch {
  laws::scenario s;
  kvsift::any_policy policy;
  std::unique_ptr<laws::engine> together;
  std::vector<text> texts;
  any_executor on{};
  bool evicts = true;  ///< after every verb; else heads come down when they are full
  int way = 0;  ///< rows, pages, or pages with keys turned as they are read

  std::unique_ptr<laws::engine> make(u32 threads) const {
    kvsift::cache_options options = s.options(threads);
    options.max_piece = 40;
    options.capacity = 500;
    if (way == 1) return laws::make_paged_engine(s.shape, policy, options);
    if (way == 2) return laws::make_paged_ranked_engine(s.shape, policy, options, {{1000}});
    return laws::make_engine(s.shape, policy, options);
  }
  std::vector<u32> going_on() const {
    std::vector<u32> list;
    for (u32 i = 0; i < texts.size(); ++i)
      if (!texts[i].paused) list.push_back(i);
    return list;
  }
  /// The rows of a sequence in two caches, and its part of their outputs, where they first differ.
  std::string differs(u32 sequence) const {
    support::snapshot const all = together->look(), own = texts[sequence].alone->look();
    support::snapshot got, want;
    for (u32 l = 0; l < s.shape.layers; ++l)
      for (u32 h = 0; h < s.shape.kv_heads; ++h) {
        got.push_back(all[s.shape.row(l, sequence, h)]);
        want.push_back(own[s.shape.row(l, sequence, h)]);
      }
    return support::difference(got, want);
  }
  /// Feeds tokens to sequences in one verb a layer; outputs of others are left alone. What is wrong after it.
  std::string feed(std::vector<u32> const& sequences, u32 tokens, bool named) {
    u32 const first = named ? sequences[0] : 0, count = named ? static_cast<u32>(sequences.size()) : s.shape.sequences;
    std::size_t const each = std::size_t{tokens} * s.shape.query_heads() * s.shape.head_dim;
    std::string problem;
    auto const fed = [&](u32 i) { return std::find(sequences.begin(), sequences.end(), i) != sequences.end(); };
    std::vector<std::vector<float>> want(s.shape.sequences);
    for (u32 i = 0; i < s.shape.sequences; ++i)
      for (u32 l = 0; fed(i) && l < s.shape.layers; ++l) {
        support::marked_vectors::piece const p = s.data.make_piece(l, texts[i].seen, tokens);
        std::vector<float> out(p.queries.size());
        texts[i].alone->step({}, l, p.view(), out.data());
        want[i].insert(want[i].end(), out.begin(), out.end());
      }
    for (u32 i = 0; i < s.shape.sequences; ++i)
      if (fed(i) && evicts) texts[i].alone->evict({});
    together->poison();
    together->who.reset();
    if (named) together->who = {first, count, true};
    for (u32 l = 0; l < s.shape.layers; ++l) {
      support::marked_vectors::piece p;
      for (u32 i = first; i < first + count; ++i) s.data.add_sequence(p, l, i, texts[i].seen, tokens);
      std::vector<float> out(p.queries.size(), -7.0f);
      together->step(on, l, p.view(), out.data());
      for (u32 i = first; i < first + count; ++i)
        for (std::size_t k = 0; k < each; ++k) {
          float const got = out[(i - first) * each + k];
          float const right = fed(i) ? want[i][(std::size_t{l} * s.shape.sequences + i) * each + k] : -7.0f;
          if (got != right) problem = "output " + std::to_string(k) + " of sequence " + std::to_string(i) + ": " + std::to_string(got);
        }
    }
    if (evicts) together->evict(on);
    for (u32 const i : sequences) texts[i].seen += tokens;
    return problem;
  }
};

/// Random events: prompts of one or several sequences, steps of all, pauses, ends. After each, every sequence is what it is alone.
struct events {
  int steps = 0, prompts = 0, begun_again = 0, idle = 0, swapped = 0;

  void go(batch& b, support::draws& d, int count) {
    auto const some = [&](u32 most) { return static_cast<u32>(d.between(1, static_cast<int>(most))); };
    for (int event = 0; event < count; ++event) {
      u32 const one = some(b.s.shape.sequences) - 1;
      text& t = b.texts[one];
      b.together->who = {one, 1, true};
      std::vector<u32> touched{one};
      int const what = d.between(0, 10);
      CAPTURE(event);
      CAPTURE(what);
      CAPTURE(one);
      if (what == 0) {
        b.together->clear(b.on);
        t.alone->clear();
        t.seen = 0;
        ++begun_again;
      } else if (what <= 2) {
        t.paused = what == 1;
        b.together->set_paused(b.on, t.paused);
      } else if (what <= 4) {
        u32 const tokens = t.seen == 0 ? some(20) : some(5);
        for (u32 i = one + 1; i < b.texts.size() && d.chance(0.3); ++i) touched.push_back(i);
        REQUIRE(b.feed(touched, tokens, true) == "");
        ++prompts;
      } else if (what == 10) {  // swapped out, and back when others have gone on
        kvsift::cache_image const image = b.together->image();
        b.together->clear(b.on);
        bool const was_paused = t.paused;
        b.together->set_paused(b.on, true);
        t.paused = true;
        if (std::vector<u32> const going_on = b.going_on(); !going_on.empty()) REQUIRE(b.feed(going_on, 1, false) == "");
        b.together->who = {one, 1, true};
        b.together->restore(image);
        b.together->set_paused(b.on, was_paused);
        t.paused = was_paused;
        ++swapped;
      } else {
        touched = b.going_on();
        idle += touched.size() < b.texts.size() && !touched.empty();
        REQUIRE(b.feed(touched, d.chance(0.2) ? some(5) : 1, false) == "");
        ++steps;
      }
      for (u32 i = 0; i < b.texts.size(); ++i) REQUIRE(b.differs(i) == "");
      REQUIRE(b.together->misplaced() == "");
    }
  }
};

void start(batch& b) {
  b.together = b.make(3);
  for (u32 i = 0; i < b.s.shape.sequences; ++i) b.texts.push_back({b.make(1)});
}

}  // namespace

TEST_CASE("a sequence of a batch is what it would be if all others went on as it does") {
  events e;
  support::for_each_seed(120, [&](std::uint64_t seed) {
    support::draws d(seed + 4242);
    batch b{laws::random_scenario(seed, 40, true), {}, {}, {}};
    b.s.shape.sequences = b.s.data.shape.sequences = static_cast<u32>(d.between(2, 4));
    if (d.chance(0.3)) b.s.policy = support::random_composition_in_pieces(d, static_cast<u32>(d.between(2, 14)));
    b.policy = b.s.policy.value();
    b.way = d.between(0, 2);
    b.evicts = d.chance(0.7);
    if (b.way == 0 && d.chance(0.5)) b.on = support::thread_group_executor{3};
    start(b);
    INFO(b.s.text(), ", way ", b.way, std::string(b.evicts ? "" : ", nobody evicts"));
    e.go(b, d, 30);
    // An image holds what each holds; nobody is paused in what it is restored to.
    b.together->who.reset();
    kvsift::cache_image const image = b.together->image();
    b.together->clear(b.on);
    for (support::row_content const& row : b.together->look()) REQUIRE((row.held == 0 && row.next == 0));
    REQUIRE(b.together->misplaced() == "");
    b.together->restore(image);
    for (text& t : b.texts) t.paused = false;
    REQUIRE(b.feed(b.going_on(), 1, false) == "");
    for (u32 i = 0; i < b.texts.size(); ++i) REQUIRE(b.differs(i) == "");
  });
  CHECK(e.steps > support::often(800));
  CHECK(e.prompts > support::often(300));
  CHECK(e.begun_again > support::often(100));
  CHECK(e.idle > support::often(400));
  CHECK(e.swapped > support::often(100));
}

TEST_CASE("so it is under every named policy, and under budgets that are measured when a prompt ends") {
  using namespace kvsift;
  std::vector<support::named_policy> all = support::named_policies(12);
  recipe_list const recipes = recipe_list{}.add({.window = 0.3}).add({.window = 0.3, .heavy = 0.2}).add({.everything = true});
  all.push_back({"hybrid", to_any(hybrid(recipes, 0.6, 1))});
  for (support::named_policy const& named : all)
    support::for_each_seed(4, [&](std::uint64_t seed) {
      CAPTURE(named.name);
      support::draws d(seed);
      batch b{laws::random_scenario(seed, 40, true), named.value, {}, {}};
      b.s.shape.sequences = b.s.data.shape.sequences = 3;
      b.way = static_cast<int>(seed) % 2;
      start(b);
      events{}.go(b, d, 25);
    });
}

TEST_CASE("where heads competed, rows lie as planned after a clear") {
  using namespace kvsift;
  cache_shape const shape{2, 3, 1, 8, 3};
  serial_executor const on;
  int moved = 0;
  support::for_each_seed(10, [&](std::uint64_t seed) {
    support::marked_vectors const data{seed, shape};
    auto const chosen = ada_snapkv(12, 3, 5, pooling::avg, 0.0);
    kv_tensor cache{shape, chosen, {.max_piece = 40, .promised = 5}, in_rows{}};
    kv_tensor fresh{shape, chosen, {.max_piece = 40, .promised = 5}, in_rows{}};
    auto const feed = [&](auto& to, u32 sequence, u32 first, u32 tokens) {
      for (u32 l = 0; l < shape.layers; ++l) {
        support::marked_vectors::piece p;
        data.add_sequence(p, l, sequence, first, tokens);
        std::vector<float> out(p.queries.size());
        step(on, to.sequence(sequence)[l], p.view(), out.data());
      }
    };
    for (u32 s = 0; s < 3; ++s) feed(cache, s, 0, 40);
    feed(fresh, 0, 0, 40);
    feed(fresh, 2, 0, 40);
    clear(on, cache.sequence(1));
    for (u32 r = 0; r < shape.rows(); ++r) {
      moved += fresh.view().firsts[r] != r * 17;
      REQUIRE(cache.view().firsts[r] == fresh.view().firsts[r]);
    }
    for (auto* const to : {&cache, &fresh}) {  // a prompt that fits, and as many tokens as there is room for
      feed(*to, 1, 0, 12);
      for (u32 t = 12; t < 17; ++t)
        for (u32 s = 0; s < 3; ++s) feed(*to, s, s == 1 ? t : t + 28, 1);
    }
    REQUIRE(support::difference(support::take_snapshot(cache.view()), support::take_snapshot(fresh.view())) == "");
  });
  CHECK(moved > support::often(50));
}

TEST_CASE("a text goes on at another place, or in another cache") {
  using namespace kvsift;
  serial_executor const on;
  cache_shape const three{2, 2, 2, 8, 3}, one{2, 2, 2, 8, 1};
  support::marked_vectors const data{5, three};
  auto const goes_on = [&](auto const& chosen) {
    cache_options const options{.max_piece = 30, .promised = 20};
    kv_tensor many{three, chosen, options, in_pages{}};
    kv_tensor alone{one, chosen, options};
    auto const feed = [&](auto to, u32 sequence, u32 first, u32 tokens) {
      std::vector<float> all;
      for (u32 l = 0; l < three.layers; ++l) {
        support::marked_vectors::piece p;
        data.add_sequence(p, l, sequence, first, tokens);
        std::vector<float> out(p.queries.size());
        step(on, to[l], p.view(), out.data());
        all.insert(all.end(), out.begin(), out.end());
      }
      evict(on, to);
      return all;
    };
    for (u32 s = 0; s < 3; ++s) feed(many.sequence(s), s, 0, 20 + s);
    cache_image const image = image_of(many.sequence(1)), others = image_of(many.sequence(2));
    restore(many.sequence(0), image);
    restore(alone, image);
    CHECK(image_of(many.sequence(0)) == image);
    CHECK(image_of(alone) == image);
    CHECK(many.seen(1, 0) == 21);
    for (u32 t = 21; t < 30; ++t) {
      auto const want = feed(many.sequence(1), 1, t, 1);
      CHECK(feed(many.sequence(0), 1, t, 1) == want);
      CHECK(feed(alone.sequence(0), 1, t, 1) == want);
    }
    CHECK(image_of(many.sequence(2)) == others);
    CHECK(support::misplaced_pages(many.view()) == "");
    CHECK_THROWS_WITH_AS(restore(many.sequences(0, 2), image),
                         doctest::Contains("layers, heads, group, head_dim or sequences are not the cache's"), bad_argument);
  };
  goes_on(roco(12, 2, 3));
  goes_on(ada_snapkv(12, 3, 5, pooling::avg, 0.0));
  goes_on(heavy_hitter(12, 1, 2));
}
