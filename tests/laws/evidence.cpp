// An engine's own attention, fed through observe and compress, does what step does when it attends itself.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include <doctest/doctest.h>

#include <laws/scenario.hpp>
#include <support/seeds.hpp>

namespace {

using laws::u32;

/// Column C of a slot as a float.
template <class C>
float number(support::slot_content const& slot) {
  float x = 0;
  std::memcpy(&x, slot.columns.at(typeid(C).name()).data(), sizeof x);
  return x;
}

/// The columns that a slot has in both.
support::snapshot without_extra_columns(support::snapshot rows, support::snapshot const& like) {
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t i = 0; i < rows[r].slots.size() && i < like[r].slots.size(); ++i)
      std::erase_if(rows[r].slots[i].columns, [&](auto const& column) { return like[r].slots[i].columns.count(column.first) == 0; });
  return rows;
}

}  // namespace

TEST_CASE("columns fed through observe with the masses of step are the columns of step") {
  support::for_each_seed(60, [](std::uint64_t seed) {
    laws::scenario s = laws::random_scenario(seed);
    s.policy.second = {};
    s.policy.second.when = kvsift::moment{};
    if (s.policy.at(kvsift::moment::before_append) == nullptr) s.policy.first.when = kvsift::moment::after_attention;
    if (needs_slots_in_order(s.policy.first.score)) return;
    INFO(s.text());
    auto const observing = laws::make_engine(s.shape, s.policy.value(), s.options());
    s.policy.second.score = kvsift::newest_query_attention{};  // never asked: its column tells what step saw
    auto const attending = laws::make_engine(s.shape, s.policy.value(), s.options());
    for (u32 position = 0; position < 30; ++position) {
      CAPTURE(position);
      for (u32 layer = 0; layer < s.shape.layers; ++layer) {
        support::marked_vectors::piece const p = s.data.make_piece(layer, position, 1);
        std::vector<float> out(p.queries.size());
        attending->step({}, layer, p.view(), out.data());
        support::snapshot const now = attending->look();
        std::size_t const pitch = attending->capacity() + seed % 3;
        std::vector<float> masses(s.shape.layer_rows() * pitch);
        for (u32 r = 0; r < s.shape.layer_rows(); ++r) {
          support::row_content const& row = now[layer * s.shape.layer_rows() + r];
          for (u32 i = 0; i < row.held; ++i) masses[r * pitch + i] = number<kvsift::last_attention>(row.slots[i]);
        }
        observing->append({}, layer, p);
        observing->observe({}, layer, masses.data(), pitch);
      }
      attending->evict({});
      observing->evict({});
      support::snapshot const got = observing->look();
      REQUIRE(support::difference(got, without_extra_columns(attending->look(), got)) == "");
    }
  });
}

TEST_CASE("a prompt compressed with an engine's masses keeps what step keeps") {
  int cuts = 0;
  support::for_each_seed(60, [&](std::uint64_t seed) {
    laws::scenario s = laws::random_scenario(seed);
    if (s.policy.at(kvsift::moment::prompt_end) == nullptr) return;
    u32 const tokens = s.policy.limit + 9;
    s.pieces = {tokens};
    INFO(s.text());
    auto const attending = laws::make_engine(s.shape, s.policy.value(), s.options());
    laws::history const want = laws::run({}, *attending, s);

    // A cache without a limit gathers the masses that an engine would.
    kvsift::any_policy gathering = kvsift::to_any(kvsift::full());
    gathering.rules.first.score = kvsift::newest_query_attention{};
    gathering.rules.first.scope = kvsift::most_varying{};
    kvsift::all_columns const stored = s.policy.value().columns();
    kvsift::asked_evidence const asked = stored.asked();
    gathering.rules.rest.first.score = kvsift::pooled{kvsift::window_mass{std::max(1u, asked.window), asked.window_reduction}, 1};
    kvsift::cache_options wide = s.options();
    wide.capacity = tokens;
    auto const engine = laws::make_engine(s.shape, gathering, wide);
    laws::run({}, *engine, s);
    support::snapshot const all = engine->look();

    auto const compressing = laws::make_engine(s.shape, s.policy.value(), s.options());
    for (u32 layer = 0; layer < s.shape.layers; ++layer) {
      std::size_t const pitch = tokens + 2;
      std::vector<float> sum(s.shape.layer_rows() * pitch), squares(sum), last(sum), recent(sum);
      for (u32 r = 0; r < s.shape.layer_rows(); ++r)
        for (u32 i = 0; i < tokens; ++i) {
          support::slot_content const& slot = all[layer * s.shape.layer_rows() + r].slots[i];
          sum[r * pitch + i] = number<kvsift::attention_sum>(slot);
          squares[r * pitch + i] = number<kvsift::attention_square_sum>(slot);
          last[r * pitch + i] = number<kvsift::last_attention>(slot);
          recent[r * pitch + i] = number<kvsift::window_attention>(slot);
        }
      support::marked_vectors::piece const p = s.data.make_piece(layer, 0, tokens);
      compressing->compress({}, layer, p.keys.data(), p.values.data(), tokens,
                            {sum.data(), squares.data(), last.data(), recent.data(), pitch});
    }
    CHECK(support::difference(compressing->look(), want.after.back()) == "");
    ++cuts;
  });
  CHECK(cuts > 0);
}
