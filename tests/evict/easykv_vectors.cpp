// The library against the recorded decisions of EasyKV, where rows are given by weights: keys are unit vectors, and a
// query's component for a key is the logarithm of its weight.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/kvsift.hpp>
#include <kvsift/policy/any_policy.hpp>
#include <support/files.hpp>
#include <support/json_lite.hpp>
#include <support/listed.hpp>

namespace {

using namespace kvsift;
using support::listed;
using u32 = std::uint32_t;
using weight = std::function<double(u32 t, u32 j)>;

struct decided {
  std::vector<std::string> gone;  // one entry for each eviction
  std::string held;
};

/// `tokens` tokens, the first `prompt` as a prompt, in the pieces that the policy names. Weights of 0 become 1e-30.
decided run(any_policy const& policy, u32 tokens, u32 prompt, weight const& w) {
  std::vector<float> queries(tokens * tokens), keys(tokens * tokens), out(tokens * tokens);
  for (u32 t = 0; t < tokens; ++t) {
    for (u32 j = 0; j <= t; ++j) queries[t * tokens + j] = static_cast<float>(std::log(std::max(w(t, j), 1e-30)));
    keys[t * tokens + t] = std::sqrt(static_cast<float>(tokens));
  }
  kv_tensor cache{cache_shape{.head_dim = tokens}, policy, {.max_piece = prompt}};
  auto const row = cache.view().row(0);
  std::vector<u32> had, now, went;
  decided result;
  for (u32 first = 0, n = 1; first < tokens; first += n) {
    n = first < prompt ? cache.next_piece(0, prompt - first) : 1;
    std::size_t const at = std::size_t{first} * tokens;
    step(serial_executor{}, cache[0], {queries.data() + at, keys.data() + at, keys.data() + at, n, first < prompt},
         out.data());
    evict(serial_executor{}, cache);
    for (u32 t = first; t < first + n; ++t) had.push_back(t);
    now.assign(row.positions.data(), row.positions.data() + row.state->held);
    std::sort(now.begin(), now.end());
    went.clear();
    std::set_difference(had.begin(), had.end(), now.begin(), now.end(), std::back_inserter(went));
    if (!went.empty()) result.gone.push_back(listed(went));
    had = now;
  }
  result.held = listed(now);
  return result;
}

u32 mix(u32 t, u32 j) {
  u32 x = 2654435761u * t + 40503u * j + 12345u;
  x = (x ^ (x >> 15)) * 2246822519u;
  x = (x ^ (x >> 13)) * 3266489917u;
  return x ^ (x >> 16);
}
double hashed(u32 t, u32 j) {
  u32 const u = mix(t, j) & 255u, v = mix(1000003u, j) & 31u;
  return 1.0 + u * u / 512u + v * v / 8u + (j == 0 ? 400u : 0u);
}

support::json const& vectors() {
  static support::json const all =
      support::parse_json(support::read_file(support::test_data() / "easykv_vectors.json"));
  return all;
}

/// An entry [victims by step, null where none; positions held], decoded from an empty cache.
void decodes(std::string const& name, any_policy const& policy, u32 tokens, weight const& w) {
  CAPTURE(name);
  std::vector<std::string> victims;
  for (support::json const& item : vectors()[name][0].items)
    if (item.what == support::json::kind::number) victims.push_back(std::to_string(item.whole()));
  decided const got = run(policy, tokens, 1, w);
  CHECK(got.gone == victims);
  CHECK(got.held == listed(vectors()[name][1].whole_numbers()));
}

/// A prompt of 160 at a budget of half of it, in pieces of 8.
void compresses(std::string const& name, any_policy const& policy) {
  decided const got = run(policy, 160, 160, hashed);
  for (char const* const mode : {"_enc", "_ppl"}) {
    support::json const& recorded = vectors()["V6_prefill_L160_b0.5_s8_" + name + mode];
    CAPTURE(name);
    std::vector<std::string> expected;
    for (support::json const& piece : recorded["evictions"].items) expected.push_back(listed(piece.whole_numbers()));
    CHECK(got.gone == expected);
    CHECK(got.held == listed(recorded["survivors"].whole_numbers()));
  }
}

weight table(char const* name) {
  return [&rows = vectors()[name]](u32 t, u32 j) { return rows[std::to_string(t)][j].value; };
}

}  // namespace

TEST_CASE("a prompt in pieces evicts what EasyKV evicts: profile fixed") {
  compresses("h2o_head_keep1", to_any(strided(88, 8, accumulated_attention{}, protect{4, 8})));
  compresses("roco_keep1", to_any(strided(88, 8, mean_attention{}, protect{4, 10}, most_varying{6})));
  compresses("tova_keep1", to_any(strided(88, 8, newest_query_attention{}, protect{4, 8})));
  compresses("recency_keep1", to_any(strided(88, 8, oldest_first{}, protect{4})));
}

TEST_CASE("a prompt in pieces evicts what EasyKV evicts: profile reference") {
  compresses("h2o_head_keep0", to_any(reference_strided(88, 8, accumulated_attention{}, protect{4, 8})));
  compresses("roco_keep0",
             to_any(reference_strided(88, 8, mean_attention{}, protect{}, forced_then_varying{20, 10, 4})));
  compresses("tova_keep0", to_any(reference_strided(88, 8, newest_query_attention{}, protect{4, 8})));
  compresses("recency_keep0", to_any(reference_strided(88, 8, oldest_first{}, protect{4})));
}

TEST_CASE("decode evicts what EasyKV evicts") {
  decodes("V1_aas_table1_B4_window1", to_any(accumulated_attention_policy(4, 1)), 8, table("table1"));
  decodes("V2_mas_table1_B4_window1", to_any(mean_attention_policy(4, 1)), 8, table("table1"));
  decodes("V2_tova_table1_B4", to_any(tova(4)), 8, table("table1"));
  decodes("V3_roco_table2_B4_k2_P1", to_any(roco(4, 2, 1)), 8, table("table2"));
  decodes("V3_mas_table2_B4_window1", to_any(mean_attention_policy(4, 1)), 8, table("table2"));
  decodes("V3_aas_table2_B4_window1", to_any(accumulated_attention_policy(4, 1)), 8, table("table2"));
  decodes("V3b_roco_table1_B4_k3_P10", to_any(reference_roco(4, 2, 10)), 8, table("table1"));
  for (char const* const arithmetic : {"_ideal", "_ref16"}) {
    std::string const run = "V5_decode_B40_T60_";
    decodes(run + "h2o_head" + arithmetic, to_any(accumulated_attention_policy(40, 12)), 60, hashed);
    decodes(run + "mas_window" + arithmetic, to_any(mean_attention_policy(40, 12)), 60, hashed);
    decodes(run + "roco" + arithmetic, to_any(roco(40, 3, 10)), 60, hashed);
    decodes(run + "roco" + arithmetic, to_any(reference_roco(40, 13, 10)), 60, hashed);
    decodes(run + "tova" + arithmetic,
            to_any(policy{uniform_budget{40}, over_budget(newest_query_attention{}, protect{})}), 60, hashed);
    decodes(run + "recency" + arithmetic, to_any(streaming_llm(0, 40)), 60, hashed);
  }
}
