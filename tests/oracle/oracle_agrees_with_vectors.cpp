// The oracles against vectors worked out by hand or by exact rationals (tests/data/easykv_vectors.json and the worked
// examples below), where attention rows are given and not computed.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <oracle/replay_oracle.hpp>
#include <support/files.hpp>
#include <support/json_lite.hpp>
#include <support/listed.hpp>

namespace {

using support::listed;

/// Weight of position j in the row of token t; divided by the sum over what is held.
using weight = std::function<double(int t, int j)>;

struct decoded {
  std::vector<int> victims;  // one a step that evicts
  std::vector<int> held;
};

std::vector<double> normalised(oracle::slot_list const& slots, weight const& w, int token) {
  std::vector<double> row;
  double total = 0;
  for (oracle::slot const& s : slots) total += row.emplace_back(w(token, s.position));
  for (double& x : row) x /= total;
  return row;
}

/// Tokens 0..tokens-1 of one head, one at a time, by a policy that evicts after attention.
decoded decode(oracle::rule const& rule, int tokens, weight const& w) {
  decoded result;
  oracle::slot_list slots;
  for (int token = 0; token < tokens; ++token) {
    oracle::slot arriving;
    arriving.position = token;
    slots.push_back(arriving);
    rule.observe(slots, normalised(slots, w, token));
    if (static_cast<int>(slots.size()) <= rule.limit(tokens)) continue;
    oracle::choice const c = rule.victim(slots, token);
    REQUIRE(c.positions.size() == 1);
    result.victims.push_back(c.positions[0]);
    oracle::remove(slots, c.positions);
  }
  result.held = oracle::positions_of(slots);
  return result;
}

/// An entry [victims by step, null where none; positions held] of the data file.
void agrees(support::json const& vectors, std::string const& name, decoded const& got) {
  CAPTURE(name);
  std::vector<int> victims;
  for (support::json const& item : vectors[name][0].items) {
    if (item.what == support::json::kind::number) victims.push_back(static_cast<int>(item.whole()));
  }
  CHECK(listed(got.victims) == listed(victims));
  CHECK(listed(got.held) == listed(vectors[name][1].whole_numbers()));
}

/// The weights of the long recorded run: a hash in unsigned 32-bit arithmetic.
std::uint32_t mix(std::uint32_t t, std::uint32_t j) {
  std::uint32_t x = 2654435761u * t + 40503u * j + 12345u;
  x = (x ^ (x >> 15)) * 2246822519u;
  x = (x ^ (x >> 13)) * 3266489917u;
  return x ^ (x >> 16);
}

double hashed_weight(int t, int j) {
  std::uint32_t const u = mix(static_cast<std::uint32_t>(t), static_cast<std::uint32_t>(j)) & 255u;
  std::uint32_t const v = mix(1000003u, static_cast<std::uint32_t>(j)) & 31u;
  return 1.0 + u * u / 512u + v * v / 8u + (j == 0 ? 400u : 0u);
}

oracle::slot_list prompt_of(int tokens) {
  oracle::slot_list slots(static_cast<std::size_t>(tokens));
  for (int i = 0; i < tokens; ++i) slots[static_cast<std::size_t>(i)].position = i;
  return slots;
}

/// What stays of a prompt of `tokens` tokens by a policy that does not look at attention.
std::vector<int> kept(oracle::rule const& rule, oracle::slot_list slots) {
  oracle::remove(slots, rule.cut(slots, {}, static_cast<int>(slots.size()) - rule.limit(0)).positions);
  return oracle::positions_of(slots);
}

}  // namespace

TEST_CASE("sums, means, last rows and deviations: the tables of weights") {
  support::json const vectors = support::parse_json(support::read_file(support::test_data() / "easykv_vectors.json"));
  using oracle::score;
  auto const table = [&vectors](char const* name) -> weight {
    return [&rows = vectors[name]](int t, int j) { return rows[std::to_string(t)][static_cast<std::size_t>(j)].value; };
  };
  oracle::column_attention const sums(score::accumulated, 4, 0, 1), means(score::mean, 4, 0, 1);
  agrees(vectors, "V1_aas_table1_B4_window1", decode(sums, 8, table("table1")));
  agrees(vectors, "V2_mas_table1_B4_window1", decode(means, 8, table("table1")));
  agrees(vectors, "V3_aas_table2_B4_window1", decode(sums, 8, table("table2")));
  agrees(vectors, "V3_mas_table2_B4_window1", decode(means, 8, table("table2")));
  agrees(vectors, "V2_tova_table1_B4", decode(oracle::tova(4, 0, false), 8, table("table1")));
  // The recorded k counts slots left in the scope of budget + 1: newest + excluded = 5 - k.
  oracle::deviation_scope const roco(score::mean, 4, 0, 1, 2);
  agrees(vectors, "V3_roco_table2_B4_k2_P1", decode(roco, 8, table("table2")));
}

TEST_CASE("sums, means, last rows and deviations: sixty steps at a budget of forty") {
  support::json const vectors = support::parse_json(support::read_file(support::test_data() / "easykv_vectors.json"));
  using oracle::score;
  REQUIRE(hashed_weight(3, 0) == 479);
  REQUIRE(hashed_weight(3, 3) == 77);
  agrees(vectors, "V5_decode_B40_T60_h2o_head_ideal",
         decode(oracle::column_attention(score::accumulated, 40, 0, 12), 60, hashed_weight));
  agrees(vectors, "V5_decode_B40_T60_mas_window_ideal",
         decode(oracle::column_attention(score::mean, 40, 0, 12), 60, hashed_weight));
  agrees(vectors, "V5_decode_B40_T60_roco_ideal",
         decode(oracle::deviation_scope(score::mean, 40, 0, 10, 3), 60, hashed_weight));
  // The recorded tova may evict the newest token, and does so at step 54; ours protects it.
  std::vector<int> recorded = vectors["V5_decode_B40_T60_tova_ideal"][0].whole_numbers();
  std::vector<int> victims = decode(oracle::tova(40, 0, false), 60, hashed_weight).victims;
  recorded.resize(14);
  victims.resize(14);
  CHECK(listed(victims) == listed(recorded));
  agrees(vectors, "V5_decode_B40_T60_recency_ideal", decode(oracle::streaming_llm(0, 40), 60, hashed_weight));
}

TEST_CASE("as published: forced slots rank last, pieces that evict nothing are not observed") {
  support::json const vectors = support::parse_json(support::read_file(support::test_data() / "easykv_vectors.json"));
  using oracle::score;
  auto const table = [&rows = vectors["table1"]](int t, int j) { return rows[std::to_string(t)][static_cast<std::size_t>(j)].value; };
  oracle::deviation_scope const roco(score::mean, 4, 0, 10, 2, oracle::scope_profile::forced);
  agrees(vectors, "V3b_roco_table1_B4_k3_P10", decode(roco, 8, table));

  auto const in_pieces = [&](char const* name, std::unique_ptr<oracle::rule> inner, bool silent) {
    CAPTURE(name);
    oracle::strided const rule(std::move(inner), 8, silent);
    oracle::slot_list slots;
    std::vector<std::string> gone, expected;
    for (int token = 0; token < 160; ++token) {
      oracle::slot arriving;
      arriving.position = token;
      slots.push_back(arriving);
      if (token >= 88 || !silent) rule.observe(slots, normalised(slots, hashed_weight, token));
      if (token < 88 || token % 8 != 7) continue;
      oracle::choice const c = rule.cut(slots, {}, 8);
      gone.push_back(listed(c.positions));
      oracle::remove(slots, c.positions);
    }
    for (char const* const mode : {"_enc", "_ppl"}) {
      support::json const& recorded = vectors["V6_prefill_L160_b0.5_s8_" + std::string(name) + mode];
      expected.clear();
      for (support::json const& piece : recorded["evictions"].items) expected.push_back(listed(piece.whole_numbers()));
      CHECK(gone == expected);
      CHECK(listed(oracle::positions_of(slots)) == listed(recorded["survivors"].whole_numbers()));
    }
  };
  auto const window = [] { return std::make_unique<oracle::column_attention>(score::accumulated, 88, 4, 8); };
  auto const scope = [](oracle::scope_profile p) {
    return std::make_unique<oracle::deviation_scope>(score::mean, 88, 4, 10, p == oracle::scope_profile::fixed ? 6 : 20, p);
  };
  in_pieces("h2o_head_keep0", window(), true);
  in_pieces("h2o_head_keep1", window(), false);
  in_pieces("roco_keep0", scope(oracle::scope_profile::forced), true);
  in_pieces("roco_keep1", scope(oracle::scope_profile::fixed), false);
  in_pieces("roco_keep1", scope(oracle::scope_profile::forced), false);
}

TEST_CASE("reservoir: three heads of a cache of two and three") {
  auto const decide = [](std::vector<double> const& row, double draw) {
    oracle::slot_list slots = prompt_of(6);
    for (std::size_t i = 0; i < 6; ++i) slots[i].last = row[i];
    return listed(oracle::reservoir(2, 3).drawn(slots, draw).positions);
  };
  CHECK(decide({.40, .10, .30, .05, .05, .10}, 0.639427) == "2");
  CHECK(decide({.20, .30, .04, .16, .10, .20}, 0.025011) == "0");
  CHECK(decide({.15, .15, .30, .10, .10, .20}, 0.275029) == "0");
}

TEST_CASE("heavy_hitter: a prompt of four and rows given by position") {
  // Rows of the prompt, then the rows of tokens 4, 5, 6 over the slots held, in order of position.
  oracle::attention_map const prompt = {{1}, {.5, .5}, {.25, .5, .25}, {.4, .1, .2, .3}};
  std::vector<std::vector<double>> const rows = {
      {.30, .10, .20, .15, .25}, {.35, .05, .30, .20, .10}, {.30, .10, .30, .10, .20}};
  for (int const history : {1, 2}) {
    CAPTURE(history);
    oracle::heavy_hitter const rule(5, 1, 1, history, false);
    oracle::slot_list slots = prompt_of(4);
    rule.observe_kept(slots, prompt);
    CHECK(slots[0].observations[0] == doctest::Approx(.5375));
    CHECK(slots[1].observations[0] == doctest::Approx(1.1 / 3));
    std::vector<int> victims;
    for (int token = 4; token <= 7; ++token) {
      if (slots.size() == 5) {
        victims.push_back(rule.victim(slots, token).positions.at(0));
        oracle::remove(slots, {victims.back()});
      }
      if (token == 7) break;
      oracle::slot arriving;
      arriving.position = token;
      slots.push_back(arriving);
      rule.observe(slots, rows[static_cast<std::size_t>(token - 4)]);
    }
    CHECK(listed(victims) == "2 1 5");
  }
}

TEST_CASE("policies by position and by key: small examples") {
  CHECK(listed(kept(oracle::recent_global(8, 2), prompt_of(11))) == "0 1 5 6 7 8 9 10");
  CHECK(listed(kept(oracle::keep_it_odd(8, 2, 3), prompt_of(13))) == "0 1 5 7 9 10 11 12");
  CHECK(listed(kept(oracle::streaming_llm(2, 3), prompt_of(9))) == "0 1 6 7 8");

  oracle::slot_list slots = prompt_of(8);
  std::vector<double> const norms = {4, 1, 6, 2, 5, 3, 7, 8};
  for (std::size_t i = 0; i < slots.size(); ++i) slots[i].key_norm = norms[i];
  CHECK(listed(kept(oracle::key_norm(5, 1, 2), slots)) == "0 1 3 6 7");

  // Equal norms: in decode the lowest position goes, in the cut it stays.
  for (oracle::slot& s : slots) s.key_norm = 1;
  CHECK(listed(oracle::key_norm(8, 2, 2).victim(slots, 8).positions) == "2");
  CHECK(listed(kept(oracle::key_norm(5, 1, 2), slots)) == "0 1 2 6 7");

  // keep_it_odd goes on after its cut: victims of tokens 13 to 18. At 17 no even one is left; the lowest odd position
  // is 9, although 13 lies in a lower slot of a cache that overwrites in place.
  oracle::keep_it_odd const odd(8, 2, 3);
  slots = prompt_of(13);
  oracle::remove(slots, odd.cut(slots, {}, 5).positions);
  std::vector<int> victims;
  for (int token = 13; token <= 18; ++token) {
    victims.push_back(odd.victim(slots, token).positions.at(0));
    oracle::remove(slots, {victims.back()});
    oracle::slot arriving;
    arriving.position = token;
    slots.push_back(arriving);
  }
  CHECK(listed(victims) == "5 10 7 12 9 14");
}

TEST_CASE("lsh: four components, four bits, six slots") {
  oracle::trace t;
  t.tokens = 9;
  t.query_heads = t.kv_heads = 1;
  t.dim = t.bits = 4;
  t.keys = {1, 1, 1, 1, 1, -1, 0, 2, -1, -1, -1, -1, 2, 0, -1, -1, 0, 3, -1, 1, -1, 2, 1, 0, 1, 1, -2, 0, -2, 1, 0, 1, -1, -2, 1, 1};
  t.queries = t.values = t.keys;
  t.projection = {1, 0, 0, 1, 0, 1, 0, -1, 0, 0, 1, 1, 1, -1, 1, 0};
  // The fourth component of the projection's last bit is 0: a dot product of zero gives 1.
  std::vector<int> codes;
  for (int token = 0; token < t.tokens; ++token) {
    int code = 0;
    std::vector<int> const bits = oracle::signs_of_key(t, token, 0).bits;
    for (std::size_t b = 0; b < bits.size(); ++b) code += bits[b] << b;
    codes.push_back(code);
  }
  CHECK(listed(codes) == "15 13 2 11 7 6 3 6 13");

  // Queries are the keys: both comparisons take the same decisions. Of the equally far slots the lowest position goes;
  // the second victim is position 1, the third 3, the fourth 2.
  for (bool const by_query : {false, true}) {
    oracle::description d;
    d.policy = "lsh";
    d.budget = 6;
    d.sinks = d.recent = 1;
    d.by_query = by_query;
    std::vector<int> victims, final;
    for (oracle::event const& e : oracle::replay(t, d, 5).events) {
      if (e.what == oracle::event::kind::evict) victims.push_back(e.positions.at(0));
      if (e.what == oracle::event::kind::final) final = e.positions;
    }
    CHECK(listed(victims) == "1 3 2");
    CHECK(listed(final) == "0 4 5 6 7 8");
  }
}

TEST_CASE("ties that the recorded traces do not hold") {
  // Four slots alike in every number: of equal deviations the higher positions are excluded, of equal means the lowest
  // goes.
  oracle::slot_list slots = prompt_of(4);
  for (oracle::slot& s : slots) {
    s.sum = s.squares = 0.5;
    s.rows = 2;
  }
  using oracle::score;
  CHECK(listed(oracle::deviation_scope(score::mean, 3, 0, 0, 0).victim(slots, 3).positions) == "0");
  CHECK(listed(oracle::deviation_scope(score::mean, 3, 0, 0, 3).victim(slots, 3).positions) == "0");
  CHECK(listed(oracle::deviation_scope(score::mean, 3, 1, 0, 2).victim(slots, 3).positions) == "1");
  slots[0].sum = 0.75;  // not alike any more: deviates less and has the higher mean
  CHECK(listed(oracle::deviation_scope(score::mean, 3, 0, 0, 1).victim(slots, 3).positions) == "1");
  CHECK(listed(oracle::deviation_scope(score::mean, 3, 0, 0, 3).victim(slots, 3).positions) == "0");
  CHECK(listed(oracle::column_attention(score::accumulated, 3, 1, 0).victim(slots, 3).positions) == "1");

  // An observation that just reaches its even share counts.
  oracle::heavy_hitter const reached(2, 0, 0, 1, true);
  oracle::slot_list two = prompt_of(2);
  CHECK(reached.observe(two, {0.5, 0.5}) == oracle::no_gap);
  CHECK(two[0].observations == std::vector<double>{1});
  // 1 of 3 ties with 2 of 6, and the lower position goes.
  two[0].observations = {1, 0, 0, 1, 0, 0};
  two[1].observations = {0, 0, 1};
  CHECK(listed(reached.victim(two, 2).positions) == "0");
}
