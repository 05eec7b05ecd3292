// Rollouts of KV-Align's training against a cache in plain double-precision loops, how they are drawn, and a training with rounds that was
// cut short against one that was not.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <common/align_rollout.hpp>
#include <kvsift/core/random.hpp>
#include <kvsift/evict/verbs.hpp>
#include <oracle/align.hpp>
#include <reference_model/io/load_model.hpp>
#include <reference_model/model/transformer.hpp>
#include <support/files.hpp>

#include "align_workshop.hpp"
#include "tiny_gpt2.hpp"

namespace {

using namespace programs;
using arguments = std::vector<std::string>;
kvsift::parallel_executor const on(1);

/// A random network of tiny_gpt2, as the library and as the oracle have it.
struct network {
  oracle::align_network plain;
  kvsift::align_network fast;

  explicit network(std::uint64_t seed) {
    kvsift::counter_random const draw{seed};
    std::uint32_t made = 0;
    std::vector<std::vector<float>> flat;
    auto const matrix = [&](std::size_t rows, std::size_t columns, float size) {
      std::vector<std::vector<double>> m(rows, std::vector<double>(columns));
      std::vector<float>& all = flat.emplace_back();
      for (auto& row : m)
        for (double& x : row) {
          all.push_back(size * (2 * draw.uniform(made++, 1) - 1));
          x = static_cast<double>(all.back());
        }
      return m;
    };
    plain = {matrix(20, 3, 1), matrix(2, 2, 1), matrix(2, 2, 1), matrix(9, 11, 0.5f), matrix(7, 9, 0.5f), matrix(4, 7, 0.2f),
             matrix(1, 9, 0.3f)[0],   matrix(1, 7, 0.3f)[0],  matrix(1, 4, 0.1f)[0]};
    auto const view = [&](std::size_t i) { return kvsift::span<float const>{flat[i].data(), flat[i].size()}; };
    fast = kvsift::align_network({view(0), view(1), view(2), view(3), view(6), view(4), view(7), view(5), view(8)}, 4, 2, 2, 20);
  }
};

/// What the model is given as its cache: vectors in the order of their tokens, attention by its definition.
struct plain_cache {
  struct row {
    std::vector<std::vector<double>> keys, values;
  };
  std::vector<std::vector<row>> rows = std::vector<std::vector<row>>(2, std::vector<row>(2));  // [layer][head]

  struct layer_ref {
    plain_cache& cache;
    std::uint32_t layer;
  };
  static constexpr kvsift::keys_are keys_are() { return kvsift::keys_are::encoded; }
  layer_ref layer(std::uint32_t l) { return {*this, l}; }
  friend void evict(kvsift::parallel_executor const&, plain_cache&) {}
  friend void step(kvsift::parallel_executor const&, layer_ref at, kvsift::arrivals const& piece, float* out) {
    for (std::uint32_t t = 0; t < piece.tokens; ++t)
      for (std::uint32_t h = 0; h < 2; ++h) {
        row& r = at.cache.rows[at.layer][h];
        std::size_t const begin = (t * 2 + h) * 4;
        r.keys.emplace_back(piece.keys + begin, piece.keys + begin + 4);
        r.values.emplace_back(piece.values + begin, piece.values + begin + 4);
        std::vector<double> weights;
        double all = 0;
        for (auto const& key : r.keys) {
          double score = 0;
          for (std::size_t d = 0; d < 4; ++d) score += key[d] * static_cast<double>(piece.queries[begin + d]);
          weights.push_back(std::exp(score / 2));
          all += weights.back();
        }
        for (std::size_t d = 0; d < 4; ++d) {
          double sum = 0;
          for (std::size_t i = 0; i < weights.size(); ++i) sum += weights[i] / all * r.values[i][d];
          out[begin + d] = static_cast<float>(sum);
        }
      }
  }
};

/// The pairs of kind `keys` of one look, in the order in which they are added.
void add_expected(plain_cache const& drifted, plain_cache const& afresh, std::size_t sinks, bool keys, std::vector<double>& from, std::vector<double>& to) {
  for (std::size_t l = 0; l < 2; ++l)
    for (std::size_t h = 0; h < 2; ++h) {
      auto const& x = keys ? drifted.rows[l][h].keys : drifted.rows[l][h].values;
      auto const& y = keys ? afresh.rows[l][h].keys : afresh.rows[l][h].values;
      for (std::size_t j = sinks; j < y.size(); ++j) {
        from.insert(from.end(), x[j + 1].begin(), x[j + 1].end());
        to.insert(to.end(), y[j].begin(), y[j].end());
      }
    }
}

double farthest(std::vector<float> const& a, std::vector<double> const& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(a[i]) - b[i]));
  return worst;
}

/// A short training with rounds.
arguments with_rounds(workshop const& w, std::string const& out, std::string const& rollouts) {
  return w.training(out, {"--windows", "8", "--shard", "4", "--epochs", "1", "--rollouts", rollouts});
}

char const* const results[] = {"keys_network.safetensors", "values_network.safetensors", "state.safetensors", "training.jsonl", "loss.svg"};

}  // namespace

TEST_CASE("pairs of a rollout are what the cache held and what a forward pass from scratch gives") {
  tiny_gpt2 const files;
  reference_model::model const m = reference_model::load_model(files.path());
  std::uint32_t const sinks = 3, budget = 9, last = 14;
  network const keys(4), values(5);
  align_rollout r;
  r.budget = budget;
  r.looks = {0, 1, 7, last};
  for (std::uint32_t t = 0; t < budget + last + 1; ++t) r.tokens.push_back(t * 29 % 250);
  align_pairs of_keys, of_values;
  add_rollout_pairs(on, m, {keys.fast.view(), values.fast.view(), sinks}, r, of_keys, of_values);

  std::vector<double> from[2], to[2], truth[2];  // truth: without any drift
  plain_cache drifted;
  reference_model::transformer decoder(m, budget + 1);
  std::vector<std::uint32_t> positions(budget + 1);
  for (std::uint32_t i = 0; i <= budget; ++i) positions[i] = i;
  decoder.forward(on, drifted, r.tokens.data(), positions.data(), budget);
  for (std::uint32_t eviction = 0; eviction <= last; ++eviction) {
    decoder.forward(on, drifted, &r.tokens[budget + eviction], &budget, 1);
    if (std::find(r.looks.begin(), r.looks.end(), eviction) != r.looks.end()) {
      std::vector<std::uint32_t> staying(r.tokens.begin(), r.tokens.begin() + sinks);
      for (std::uint32_t t = sinks; t < budget; ++t) staying.push_back(r.tokens[t + eviction + 1]);
      plain_cache afresh;
      decoder.forward(on, afresh, staying.data(), positions.data(), budget);
      for (bool const k : {false, true}) add_expected(drifted, afresh, sinks, k, from[k], to[k]);
      staying.insert(staying.begin() + sinks, r.tokens[sinks + eviction]);
      plain_cache before;
      decoder.forward(on, before, staying.data(), positions.data(), budget + 1);
      std::vector<double> unused;
      for (bool const k : {false, true}) add_expected(before, afresh, sinks, k, truth[k], unused);
    }
    for (std::size_t l = 0; l < 2; ++l)
      for (std::size_t h = 0; h < 2; ++h)
        for (bool const k : {false, true}) {
          auto& row = k ? drifted.rows[l][h].keys : drifted.rows[l][h].values;
          row.erase(row.begin() + sinks);
          for (std::size_t j = sinks; j < row.size(); ++j) row[j] = (k ? keys : values).plain(row[j], j - sinks, l, h);
        }
  }
  CHECK(farthest(of_keys.from, from[true]) < 2e-5);
  CHECK(farthest(of_values.from, from[false]) < 2e-5);
  CHECK(farthest(of_keys.to, to[true]) < 2e-5);
  CHECK(farthest(of_values.to, to[false]) < 2e-5);
  REQUIRE(of_keys.size() == r.looks.size() * 4 * (budget - sinks));
  for (std::size_t i = 0; i < of_keys.size(); ++i) {
    CHECK(of_keys.position[i] == i % (budget - sinks));
    CHECK(of_keys.head[i] == i / (budget - sinks) % 2);
    CHECK(of_keys.layer[i] == i / (budget - sinks) / 2 % 2);
  }
  CHECK(of_values.position == of_keys.position);
  // Scattered: each vector lies on the line through what was held and what is true, by a number of its own, as often before the truth as behind it.
  align_rollout scattered = r;
  scattered.drift = align_rollout::drift_is::scattered;
  scattered.seed = 11;
  align_pairs spread_keys, spread_values;
  add_rollout_pairs(on, m, {keys.fast.view(), values.fast.view(), sinks}, scattered, spread_keys, spread_values);
  CHECK(spread_keys.to == of_keys.to);
  CHECK(spread_values.to == of_values.to);
  CHECK(farthest(spread_keys.from, from[true]) > 0.01);
  std::set<long> shares;
  std::size_t measured = 0, negative = 0;
  for (bool const k : {false, true})
    for (std::size_t i = 0; i < of_keys.size(); ++i) {
      double along = 0, length = 0, aside = 0;
      auto const at = [&](std::size_t d) { return static_cast<double>((k ? spread_keys : spread_values).from[i * 4 + d]) - truth[k][i * 4 + d]; };
      auto const drift = [&](std::size_t d) { return from[k][i * 4 + d] - truth[k][i * 4 + d]; };
      for (std::size_t d = 0; d < 4; ++d) along += at(d) * drift(d), length += drift(d) * drift(d);
      if (length < 1e-2) continue;
      double const share = along / length;
      for (std::size_t d = 0; d < 4; ++d) aside = std::max(aside, std::abs(at(d) - share * drift(d)));
      CHECK(aside < 1e-4);
      CHECK(std::abs(share) < 1.001);
      shares.insert(std::lround(share * 1000));
      ++measured;
      negative += share < 0 ? 1u : 0u;
    }
  CHECK(measured > 60);
  CHECK(shares.size() > measured / 2);
  CHECK(negative > measured / 4);
  CHECK(negative < measured * 3 / 4);
  // What was made of the vectors before is in them: at the first look nothing was, and other networks make something else of them.
  align_pairs other_keys, other_values;
  network const other(6);
  add_rollout_pairs(on, m, {other.fast.view(), other.fast.view(), sinks}, r, other_keys, other_values);
  std::size_t const a_look = of_keys.from.size() / r.looks.size();
  CHECK(std::equal(of_keys.from.begin(), of_keys.from.begin() + static_cast<std::ptrdiff_t>(a_look), other_keys.from.begin()));
  CHECK(!std::equal(of_keys.from.begin() + static_cast<std::ptrdiff_t>(a_look), of_keys.from.end(), other_keys.from.begin() + static_cast<std::ptrdiff_t>(a_look)));
}

TEST_CASE("rollouts are drawn from all sizes and places, and lie within the text") {
  std::vector<std::uint32_t> text(5000);
  for (std::uint32_t i = 0; i < text.size(); ++i) text[i] = i;
  rollout_draw d{.window = 256, .sinks = 4, .rows = 16, .pairs = 200000};
  std::uint64_t pairs = 0, quarters[4] = {};
  std::set<std::uint32_t> begins;
  for (align_rollout const& r : draw_rollouts(text, d, 9)) {
    std::uint32_t const recent = r.budget - 4;
    CHECK(recent >= 8);
    CHECK(r.budget <= 255);
    CHECK(std::is_sorted(r.looks.begin(), r.looks.end()));
    CHECK(std::adjacent_find(r.looks.begin(), r.looks.end()) == r.looks.end());
    CHECK(r.looks.back() < recent + recent / 2);
    CHECK(r.tokens.size() == r.budget + r.looks.back() + 1);
    CHECK(r.tokens[0] == 0);
    for (std::size_t t = 2; t < r.tokens.size(); ++t) REQUIRE(r.tokens[t] == r.tokens[t - 1] + 1);
    begins.insert(r.tokens[1]);
    std::uint64_t const own = r.looks.size() * 16 * recent;
    pairs += own;
    quarters[std::min(3, static_cast<int>(4 * std::log(recent / 8.0) / std::log(251 / 8.0)))] += own;
  }
  CHECK(pairs >= 200000);
  for (std::uint64_t const q : quarters) CHECK(q > 35000);
  CHECK(begins.size() > 10);
  // A text of one window and a token: the largest budget leaves room for one eviction.
  text.resize(257);
  for (align_rollout const& r : draw_rollouts(text, d, 3)) CHECK(r.tokens.size() <= 257);
  align_rollout const measured = measured_rollout(text, d);
  CHECK(measured.looks.size() == 8);
  CHECK(measured.tokens.size() > measured.budget + measured.looks.back());
}

TEST_CASE("rounds that were cut short go on to the same networks, and can be added later") {
  workshop const w;
  std::string const whole = (w.folder / "whole").string(), parts = (w.folder / "parts").string(), later = (w.folder / "later").string();
  finished const f = run_program("align_train", with_rounds(w, whole, "3"));
  INFO(f.err);
  REQUIRE(f.status == 0);
  std::string const log = support::read_file(whole + "/training.jsonl");
  CHECK(std::count(log.begin(), log.end(), '\n') == 5);
  nlohmann::json const last = nlohmann::json::parse(log.substr(log.rfind('{')));
  CHECK(last["in_use_keys"].get<double>() > 0);
  CHECK(support::read_file(whole + "/loss.svg").find("the last 3 by rollouts") != std::string::npos);

  // Killed whenever a state has just been written, and started again until it is done.
  std::size_t starts = 0;
  for (bool done = false; !done && starts < 60; ++starts) {
    std::string const state = parts + "/state.safetensors";
    std::string const before = std::filesystem::exists(state) ? support::read_file(state) : "";
    done = run_program_until("align_train", with_rounds(w, parts, "3"), [&] { return std::filesystem::exists(state) && support::read_file(state) != before; });
  }
  CHECK(starts > 2);
  for (char const* const name : results) CHECK(support::read_file(parts + "/" + name) == support::read_file(whole + "/" + name));

  // A training without rounds, and the rounds behind it.
  REQUIRE(run_program("align_train", with_rounds(w, later, "0")).status == 0);
  std::string const without = support::read_file(later + "/keys_network.safetensors");
  REQUIRE(run_program("align_train", with_rounds(w, later, "3")).status == 0);
  CHECK(without != support::read_file(later + "/keys_network.safetensors"));
  for (char const* const name : results) CHECK(support::read_file(later + "/" + name) == support::read_file(whole + "/" + name));
  // Fewer rounds than were done are another training.
  finished const refused = run_program("align_train", with_rounds(w, later, "1"));
  CHECK(refused.status == 2);
  CHECK(refused.err.find("holds a training of other options") != std::string::npos);
}

TEST_CASE("what rounds cannot be given is refused in one line") {
  workshop const w;
  auto const refused = [&](arguments const& a, std::string const& said) {
    finished const f = run_program("align_train", a);
    INFO(f.err);
    CHECK(f.status == 2);
    CHECK(f.out.empty());
    CHECK(std::count(f.err.begin(), f.err.end(), '\n') == 1);
    CHECK(f.err.find(said) != std::string::npos);
  };
  std::string const out = (w.folder / "x").string();
  refused(with_rounds(w, out, "-1"), "--rollouts");
  refused(with_rounds(w, out, "many"), "--rollouts");
  refused(with_rounds(w, out, "1000001"), "--rollouts is 1000001");
  arguments both = with_rounds(w, out, "2");
  both.insert(both.end(), {"--search", "1"});
  refused(both, "--search tries what one step is learned with, and --rollouts is 2");
  CHECK(!std::filesystem::exists(out));
}
