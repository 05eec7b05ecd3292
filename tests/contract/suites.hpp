#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <support/marked_vectors.hpp>
#include <support/snapshot.hpp>

// One suite a concept. An implementation joins in one line; so does a hostile type of a user's.
namespace contract {

using u32 = std::uint32_t;
inline constexpr kvsift::serial_executor on{};

/// executor: every block runs once, by a whole group, and has run when launch returns.
template <kvsift::executor E>
void runs_every_block_once(E const& executor, u32 threads) {
  for (u32 const blocks : {0u, 1u, 2u, 7u}) {
    std::vector<std::atomic<u32>> entered(blocks * std::size_t{threads});
    executor.launch(blocks, [&](auto const& g, u32 block) {
      static_assert(kvsift::cooperative_group<std::remove_cvref_t<decltype(g)>>);
      if (g.num_threads() == threads) ++entered[std::size_t{block} * threads + g.thread_rank()];
    });
    for (std::atomic<u32> const& e : entered) REQUIRE(e == 1);
  }
}

/// cooperative_group: what a thread wrote before a sync() is read by every other thread after it.
template <kvsift::executor E>
void sync_orders(E const& executor, u32 threads) {
  std::vector<u32> values(threads), wrong(threads);
  executor.launch(3, [&](auto const& g, u32 block) {
    for (u32 round = 0; round < 10; ++round) {
      values[g.thread_rank()] = block * 100 + round;
      g.sync();
      for (u32 t = 0; t < g.num_threads(); ++t) wrong[g.thread_rank()] += values[t] != block * 100 + round ? 1u : 0u;
      g.sync();
    }
  });
  for (u32 const w : wrong) CHECK(w == 0);
}

/// payload: bytes(dim) hold a vector of any dim, wherever it lies; eight at once are eight one by one. What is loaded is what was
/// stored, or within `error` of the vector's range of it, or within `relative` of itself.
template <kvsift::vector_payload Payload>
void stores_vectors(float error = 0, float relative = 0) {
  for (u32 dim = 1; dim <= 40; ++dim) {
    std::size_t const bytes = Payload::bytes(dim);
    std::vector<std::byte> memory(3 * bytes + 8, std::byte{0x5a});
    std::byte* const first = memory.data();
    auto const value = [](u32 v, u32 d) { return static_cast<float>(static_cast<int>(v * 40 + d) - 60) / 8.0f; };
    for (u32 v = 0; v < 3; ++v) {
      std::vector<float> x;
      for (u32 d = 0; d < dim; ++d) x.push_back(value(v, d));
      Payload::store(kvsift::serial_group{}, first + v * bytes, x.data(), dim);
    }
    for (std::size_t i = 3 * bytes; i < memory.size(); ++i) REQUIRE(memory[i] == std::byte{0x5a});
    for (u32 v = 0; v < 3; ++v) {
      for (u32 d = 0; d < dim; ++d)
        REQUIRE(std::abs(Payload::load(first + v * bytes, d) - value(v, d)) <=
                error * static_cast<float>(dim - 1) / 8.0f + relative * std::abs(value(v, d)));
      for (u32 d = 0; d + kvsift::lane_count <= dim; d += kvsift::lane_count) {
        kvsift::lanes eight;
        Payload::load(first + v * bytes, d, eight);
        float x[kvsift::lane_count];
        eight.store(x);
        for (u32 i = 0; i < kvsift::lane_count; ++i) REQUIRE(x[i] == Payload::load(first + v * bytes, d + i));
      }
    }
  }
}

/// slot_column: admit leaves nothing of what lay there, observe is a function of its arguments, merge with itself changes
/// nothing.
template <kvsift::slot_column C>
void is_a_column(C const& column) {
  using element = typename C::element;
  u32 const width = column.width();
  float const key[] = {1, -2, 3}, value[] = {4, 5, 6};
  kvsift::head_context const head{0, 0, 0, 4, 8, 6, 1};
  std::vector<element> a(width), b(width);
  std::memset(static_cast<void*>(a.data()), 0x00, width * sizeof(element));
  std::memset(static_cast<void*>(b.data()), 0xff, width * sizeof(element));
  auto const both = [&](auto const& act) {
    act(a.data());
    act(b.data());
    CHECK(std::memcmp(a.data(), b.data(), width * sizeof(element)) == 0);
  };
  both([&](element* e) { column.admit(e, {key, value, 3, 5}, head); });
  for (u32 i = 0; i < 5; ++i)
    both([&](element* e) { column.observe(e, {0.25f * static_cast<float>(i), 0.1f, 0.2f, 0.3f, 1 + i}, head); });
  C mine = column;
  CHECK(mine.merge(column));
  CHECK(mine == column);
}

namespace detail {

/// A part of a policy, asked of one slot of a row, while `token` waits.
template <class Part, class Columns, class Placement>
float ask(Part const& part, kvsift::row_view<Columns, Placement> const& row, u32 slot, kvsift::arrival const& token = {}) {
  kvsift::narrowed_row<kvsift::columns_of<Part>, Columns, Placement> const seen{
      row.positions.read_only(), row.context(row.state->held), std::addressof(row), token};
  if constexpr (kvsift::prepared_score<Part>) {
    float value = 0;
    u32 words[2];
    part.prepare(kvsift::serial_group{}, seen, words, [&](auto const& score) { value = score(slot); });
    return value;
  } else {
    return part(seen, slot);
  }
}

/// Lower first, NaN before everything.
inline bool below(float a, float b) { return std::isnan(a) ? !std::isnan(b) : a < b; }

/// What a slot is worth to a rule that is asked of it.
struct verdict {
  u32 position;
  float rank;   ///< what the ranked scope says
  float score;
  bool guarded;
};

/// Positions that stay where one slot goes, in order: the guarded ones, the `excluded` of highest rank (of equals the higher
/// positions), and of the rest all but the lowest score (of equals the lowest position). All of them where none goes.
inline std::vector<u32> what_stays(std::vector<verdict> slots, u32 excluded, bool one_goes) {
  if (one_goes) {
    auto const open = std::partition(slots.begin(), slots.end(), [](verdict const& v) { return v.guarded; });
    std::sort(open, slots.end(), [](verdict const& a, verdict const& b) {
      return below(a.rank, b.rank) || below(b.rank, a.rank) ? below(b.rank, a.rank) : a.position > b.position;
    });
    auto const in_reach = open + std::min<std::ptrdiff_t>(excluded, slots.end() - open);
    slots.erase(std::min_element(in_reach, slots.end(), [](verdict const& a, verdict const& b) {
      return below(a.score, b.score) || below(b.score, a.score) ? below(a.score, b.score) : a.position < b.position;
    }));
  }
  std::vector<u32> stay;
  for (verdict const& v : slots) stay.push_back(v.position);
  std::sort(stay.begin(), stay.end());
  return stay;
}

}  // namespace detail

/// score_source and ranked_scope: of the slots that the guards leave in, the scope takes out the `excluded()` highest (of
/// equals the higher position), and of the rest the lowest score goes (of equals the lower position).
template <class Placement, kvsift::score_source Score, kvsift::ranked_scope Scope>
void decides_as_defined_in(Score const& score, Scope const& scope, kvsift::protect guards, u32 candidates) {
  kvsift::cache_shape const shape{1, 2, 2, 5, 1};
  u32 const limit = static_cast<u32>(guards.slots()) + scope.excluded() + candidates;
  for (kvsift::layout const order : {kvsift::layout::slots, kvsift::layout::dense}) {
    kvsift::rule<Score, Scope> rule{};
    rule.when = kvsift::moment::after_attention;
    rule.score = score;
    rule.guards = guards;
    rule.scope = scope;
    kvsift::kv_tensor cache{shape, kvsift::policy{kvsift::uniform_budget{limit}, rule}, {.order = order},
                            kvsift::original_positions{}, kvsift::dropped{}, Placement{}};
    support::marked_vectors const data{11, shape};
    std::vector<float> out(shape.query_heads() * shape.head_dim);
    for (u32 position = 0; position < limit + 20; ++position) {
      CAPTURE(position);
      kvsift::step(on, cache[0], data.make_piece(0, position, 1).view(), out.data());
      std::vector<std::vector<u32>> want;
      for (u32 r = 0; r < shape.rows(); ++r) {
        auto const row = cache.view().row(r);
        std::vector<detail::verdict> slots;
        for (u32 i = 0; i < row.state->held; ++i)
          slots.push_back({row.positions[i], detail::ask(scope, row, i), detail::ask(score, row, i),
                           guards.holds(row.positions[i], position + 1)});
        want.push_back(detail::what_stays(std::move(slots), scope.excluded(), row.state->held > limit));
      }
      kvsift::evict(on, cache);
      support::snapshot const now = support::by_position(support::take_snapshot(cache.view()));
      for (u32 r = 0; r < shape.rows(); ++r) REQUIRE(support::listed(now[r].positions()) == support::listed(want[r]));
    }
  }
}

/// The same in rows and in pages, there over more than one.
template <kvsift::score_source Score, kvsift::ranked_scope Scope = kvsift::all_slots>
void decides_as_defined(Score const& score, Scope const& scope = {}, kvsift::protect guards = {1, 1}) {
  decides_as_defined_in<kvsift::in_rows>(score, scope, guards, 3);
  decides_as_defined_in<kvsift::in_pages>(score, scope, guards, 3);
  decides_as_defined_in<kvsift::in_pages>(score, scope, guards, 33);
}

/// A score_source asked before a token is written: it sees that token's own key and queries, and of the slots that the
/// guards leave in the lowest goes.
template <kvsift::score_source Score>
void makes_room_as_defined(Score const& score, kvsift::protect guards = {1, 1}) {
  kvsift::cache_shape const shape{2, 2, 3, 19, 2};
  u32 const limit = 9;
  kvsift::kv_tensor cache{shape, kvsift::policy{kvsift::uniform_budget{limit}, kvsift::making_room(score, guards)}};
  support::marked_vectors const data{11, shape};
  std::vector<float> out(shape.sequences * shape.query_heads() * shape.head_dim);
  for (u32 position = 0; position < limit + 12; ++position)
    for (u32 layer = 0; layer < shape.layers; ++layer) {
      CAPTURE(position);
      support::marked_vectors::piece const p = data.make_piece(layer, position, 1);
      std::vector<std::vector<u32>> want;
      for (u32 r = 0; r < shape.layer_rows(); ++r) {
        auto const row = cache.view().row(layer * shape.layer_rows() + r);
        float const* const key = p.keys.data() + r * shape.head_dim;
        kvsift::arrival const token{key, key, shape.head_dim, position, p.queries.data() + r * shape.group * shape.head_dim, shape.group};
        u32 goes = row.state->held;
        for (u32 i = 0; row.state->held == limit && i < limit; ++i) {
          if (guards.holds(row.positions[i], position)) continue;
          if (goes == limit) goes = i;
          float const x = detail::ask(score, row, i, token), best = detail::ask(score, row, goes, token);
          if (detail::below(x, best) || (!detail::below(best, x) && row.positions[i] < row.positions[goes])) goes = i;
        }
        std::vector<u32> stay{position};
        for (u32 i = 0; i < row.state->held; ++i)
          if (i != goes) stay.push_back(row.positions[i]);
        std::sort(stay.begin(), stay.end());
        want.push_back(stay);
      }
      kvsift::step(on, cache[layer], p.view(), out.data());
      support::snapshot const now = support::by_position(support::take_snapshot(cache.view()));
      for (u32 r = 0; r < shape.layer_rows(); ++r)
        REQUIRE(support::listed(now[layer * shape.layer_rows() + r].positions()) == support::listed(want[r]));
    }
}

/// budget_allocator: every head of every layer keeps its limit, before a token as after it and after a prompt.
template <kvsift::budget_allocator Budget>
void limits_hold(Budget const& budget, kvsift::cache_shape const& shape) {
  auto const run = [&](auto const& policy, u32 prompt) {
    kvsift::kv_tensor cache{shape, policy, {.max_piece = 30}};
    support::marked_vectors const data{2, shape};
    std::vector<float> out(std::size_t{30} * shape.query_heads() * shape.head_dim);
    for (u32 seen = 0, tokens = prompt; seen < 40; tokens = 1) {
      for (u32 layer = 0; layer < shape.layers; ++layer)
        kvsift::step(on, cache[layer], data.make_piece(layer, seen, tokens).view(), out.data());
      kvsift::evict(on, cache);
      seen += tokens;
      support::snapshot const now = support::take_snapshot(cache.view());
      for (u32 r = 0; r < shape.rows(); ++r) {
        CAPTURE(seen);
        CAPTURE(r);
        REQUIRE(now[r].held == std::min(seen, budget.limit(shape, r / shape.layer_rows(), r % shape.kv_heads)));
      }
    }
  };
  for (u32 const prompt : {1u, 30u}) {
    run(kvsift::policy{budget, kvsift::over_budget(kvsift::mean_attention{}, kvsift::protect{1})}, prompt);
    run(kvsift::policy{budget, kvsift::at_prompt_end(kvsift::oldest_first{}, {}), kvsift::making_room(kvsift::oldest_first{}, {})}, prompt);
  }
}

/// position_rule: says what append is given, keeps ranks if it asks for them, and its rotation covers every slot.
template <kvsift::position_rule Position>
void keeps_positions(Position const& rule, u32 next_of_20_seen_8_held) {
  CHECK(rule.next(20, 8) == next_of_20_seen_8_held);
  kvsift::cache_shape const shape{1, 2, 1, 6, 1};
  auto const policy = kvsift::over_budget(kvsift::newest_query_attention{}, kvsift::protect{1, 1});
  kvsift::kv_tensor cache{shape, kvsift::policy{kvsift::uniform_budget{8}, policy}, {.max_piece = 12}, rule};
  CHECK(cache.keys_are() == Position::keys);
  CHECK((cache.view().ranks != nullptr) == Position::ranked);
  support::marked_vectors const data{4, shape};
  std::vector<float> out(std::size_t{12} * shape.query_heads() * shape.head_dim);
  for (u32 seen = 0, tokens = 12; seen < 30; seen += tokens, tokens = 1) {
    kvsift::step(on, cache[0], data.make_piece(0, seen, tokens).view(), out.data());
    kvsift::evict(on, cache);
    for (float const x : out) REQUIRE(std::isfinite(x));
    for (support::row_content const& row : support::by_position(support::take_snapshot(cache.view())))
      for (u32 i = 0; i < row.held; ++i) REQUIRE(row.slots[i].rank == (Position::ranked ? i : 0));
  }
}

}  // namespace contract
