// KV-Align's training: gradients against differences, pairs against the model, a training that was cut short against one that was
// not, and the three modes on what was trained.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <common/align_training.hpp>
#include <kvsift/core/random.hpp>
#include <reference_model/io/align_networks.hpp>
#include <reference_model/io/load_model.hpp>
#include <support/files.hpp>

#include "align_workshop.hpp"
#include "tiny_gpt2.hpp"
#include "tiny_model.hpp"

namespace {

using namespace programs;
using arguments = std::vector<std::string>;
kvsift::parallel_executor const on(1);

align_sizes const small{.dim = 5, .layers = 2, .heads = 3, .positions = 7, .wide = 9, .narrow = 6, .of_position = 4, .of_layer = 2, .of_head = 3};

/// Random vectors; what they become hangs on all that the network sees.
align_pairs random_pairs(std::size_t n, std::uint64_t seed) {
  kvsift::counter_random const draw{seed};
  align_pairs p;
  p.dim = small.dim;
  for (std::uint32_t i = 0; i < n; ++i) {
    auto const of = [&](std::uint32_t which, std::uint32_t count) { return static_cast<std::uint16_t>(draw.uniform(i, which) * static_cast<float>(count)); };
    p.position.push_back(of(1, small.positions));
    p.layer.push_back(of(2, small.layers));
    p.head.push_back(of(3, small.heads));
    float const change = 0.1f * static_cast<float>(p.position.back()) - 0.3f * static_cast<float>(p.layer.back());
    for (std::uint32_t d = 0; d < small.dim; ++d) {
      float const x = 2 * draw.uniform(i, 10 + d) - 1;
      p.from.push_back(x);
      p.to.push_back(x + change + (d == p.head.back() ? 0.5f * x : 0.0f));
    }
  }
  return p;
}

std::vector<std::uint32_t> all_of(align_pairs const& p) {
  std::vector<std::uint32_t> all(p.size());
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

}  // namespace

TEST_CASE("the gradient of every parameter is the slope of the error") {
  align_pairs const p = random_pairs(40, 3);
  std::vector<std::uint32_t> const all = all_of(p);
  align_trainer net(small, 5);
  net.step(on, p, all, 0);  // a rate of nothing: parameters stay
  std::vector<float> const gradient = net.gradient();
  double largest = 0;
  std::size_t moved = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    float& x = net.parameters()[i];
    float const before = x, reach = 2e-3f;
    x = before + reach;
    double const above = net.error(on, p);
    x = before - reach;
    double const below = net.error(on, p);
    x = before;
    double const slope = (above - below) / (2 * static_cast<double>(reach));
    largest = std::max(largest, std::abs(slope - static_cast<double>(gradient[i])));
    moved += gradient[i] != 0 ? 1u : 0u;
  }
  CHECK(largest < 2e-3);
  CHECK(moved > gradient.size() / 2);
}

TEST_CASE("training finds what there is to find") {
  align_pairs const p = random_pairs(4096, 8), apart = random_pairs(512, 9);
  align_trainer net({.dim = 5, .layers = 2, .heads = 3, .positions = 7, .wide = 48, .narrow = 48, .of_position = 8, .of_layer = 4, .of_head = 4}, 5);
  std::vector<std::uint32_t> const all = all_of(p);
  double const first = net.error(on, apart);
  for (int epoch = 0; epoch < 40; ++epoch)
    for (std::size_t i = 0; i + 256 <= all.size(); i += 256) net.step(on, p, {all.data() + i, 256}, 3e-3);
  double const last = net.error(on, apart);
  CHECK(last < 0.02 * first);
  // The network that is written is the one that was trained.
  temporary_folder const folder;
  net.write(folder / "net.safetensors");
  reference_model::config c;
  c.layers = 2;
  c.kv_heads = c.heads = 3;
  c.head_dim = 5;
  kvsift::align_network const read = reference_model::load_align_network(folder / "net.safetensors", c);
  CHECK(read.view().positions == 7);
}

TEST_CASE("pairs are the model's own vectors, with and without a token") {
  workshop const w;
  reference_model::model const m = reference_model::load_model(w.model.path());
  std::vector<std::uint32_t> const window{1, 2, 3, 4, 5, 6, 7, 8, 9};
  align_pairs keys, values;
  add_pairs(on, m, window, 4, keys, values);
  CHECK(keys.size() == 2 * 2 * (9 - 4 - 1));
  CHECK(keys.from != keys.to);
  // Of layer 0 a value hangs on its token and position alone: wte[t] + wpe[p]. Token 6 stood at position 5 and comes to 4.
  align_pairs again_keys, again;
  std::vector<std::uint32_t> const other{9, 9, 9, 9, 9, 6, 7, 8, 9};
  add_pairs(on, m, other, 4, again_keys, again);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values.layer[i] == 0)
      for (std::size_t d = 0; d < 4; ++d) {
        CHECK(values.from[i * 4 + d] == again.from[i * 4 + d]);
        CHECK(values.to[i * 4 + d] == again.to[i * 4 + d]);
      }
}

TEST_CASE("a training that was cut short goes on to the same networks") {
  workshop const w;
  std::string const whole = (w.folder / "whole").string(), parts = (w.folder / "parts").string();
  finished const f = run_program("align_train", w.training(whole));
  INFO(f.err);
  REQUIRE(f.status == 0);
  for (char const* name : {"keys_network.safetensors", "values_network.safetensors", "loss.svg", "training.jsonl"}) CHECK(std::filesystem::exists(whole + "/" + name));
  // As after the third shard: its state, and the log up to there.
  REQUIRE(run_program("align_train", w.training(parts)).status == 0);
  CHECK(support::read_file(parts + "/keys_network.safetensors") == support::read_file(whole + "/keys_network.safetensors"));
  std::string const log = support::read_file(whole + "/training.jsonl");
  CHECK(std::count(log.begin(), log.end(), '\n') == 6);
  nlohmann::json const last = nlohmann::json::parse(log.substr(log.rfind('{')));
  CHECK(last["held_out_keys"].get<double>() > 0);
  // Again: nothing is left to do, and nothing changes.
  REQUIRE(run_program("align_train", w.training(parts)).status == 0);
  CHECK(support::read_file(parts + "/values_network.safetensors") == support::read_file(whole + "/values_network.safetensors"));
  // Another training in that folder is refused.
  arguments other = w.training(parts);
  *std::find(other.begin(), other.end(), "128") = "100";
  finished const refused = run_program("align_train", other);
  CHECK(refused.status == 2);
  CHECK(refused.err.find("holds a training of other options") != std::string::npos);
}

TEST_CASE("kv, sw and ar on a model with learned positions") {
  workshop const w;
  std::string const out = (w.folder / "nets").string();
  REQUIRE(run_program("align_train", w.training(out)).status == 0);
  finished const f = run_program("perplexity", {"--model", w.model.path(), "--text", w.text, "--tokens", "120", "--window", "120", "--mode", "sw,kva,attention_recomputation",
                                                "--align", out, "--budget", "12,20", "--json"});
  INFO(f.err);
  REQUIRE(f.status == 0);
  CHECK(f.err.find("the model's positions are learned") != std::string::npos);
  std::vector<nlohmann::json> rows;
  std::istringstream lines(f.out);
  for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line));
  REQUIRE(rows.size() == 6);
  char const* const names[] = {"sw", "sw", "kv", "kv", "ar", "ar"};
  char const* const positions[] = {"in_cache", "in_cache", "learned_align", "learned_align", "recompute", "recompute"};
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(rows[i]["policy"] == names[i]);
    CHECK(rows[i]["positions"] == positions[i]);
    CHECK(rows[i]["scored"] == 119);
  }
  // Until something goes they are the same: the first 13 predictions of a window of 12 and one.
  for (std::size_t t = 0; t < 13; ++t) {
    CHECK(rows[2]["nll"][t].get<double>() == doctest::Approx(rows[0]["nll"][t].get<double>()).epsilon(1e-5));
    CHECK(rows[4]["nll"][t].get<double>() == doctest::Approx(rows[0]["nll"][t].get<double>()).epsilon(1e-5));
  }
  CHECK(rows[2]["nll"][60] != rows[0]["nll"][60]);
  finished const text = run_program("generate", {"--model", w.model.path(), "--mode", "kv", "--align", out, "--budget", "12", "--tokens", "90", "--never-eos", "--json"});
  INFO(text.err);
  REQUIRE(text.status == 0);
  CHECK(nlohmann::json::parse(text.out)["positions"] == "learned_align");
}

// x + W3 relu(W2 relu(W1 x)) for W1 = [1; -1], W2 = 1 and W3 = [R - 1, 1 - R]: Rx, for R of dim x dim, at any position of any head.
void write_linear(std::filesystem::path const& path, std::vector<float> const& r, std::uint64_t dim) {
  std::vector<float> first(2 * dim * (dim + 3), 0), second(4 * dim * dim, 0), third(2 * dim * dim, 0), zeros(64 + 2 * dim, 0);
  for (std::uint64_t i = 0; i < dim; ++i) {
    first[i * (dim + 3) + i] = 1;
    first[(dim + i) * (dim + 3) + i] = -1;
    for (std::uint64_t j = 0; j < dim; ++j) {
      third[i * 2 * dim + j] = r[i * dim + j] - (i == j ? 1 : 0);
      third[i * 2 * dim + dim + j] = -third[i * 2 * dim + j];
    }
  }
  for (std::uint64_t i = 0; i < 2 * dim; ++i) second[i * 2 * dim + i] = 1;
  float const* const z = zeros.data();
  reference_model::write_safetensors(path, {{"emb_pos.weight", {64, 1}, z}, {"emb_blocks.weight", {2, 1}, z}, {"emb_heads.weight", {2, 1}, z},
                                            {"fc1.weight", {2 * dim, dim + 3}, first.data()}, {"fc1.bias", {2 * dim}, z}, {"fc2.weight", {2 * dim, 2 * dim}, second.data()},
                                            {"fc2.bias", {2 * dim}, z}, {"fc3.weight", {dim, 2 * dim}, third.data()}, {"fc3.bias", {dim}, z}});
}

TEST_CASE("networks that turn keys back by a position are in_cache, on a model with a rotation") {
  tiny_model const llama;
  workshop const w;
  temporary_folder const nets;
  constexpr std::uint64_t dim = 8;
  std::vector<float> back(dim * dim, 0), stay(dim * dim, 0);
  for (std::uint64_t i = 0; i < dim / 2; ++i) {
    double const angle = std::pow(10000.0, -2.0 * static_cast<double>(i) / dim);
    back[i * dim + i] = back[(i + dim / 2) * dim + i + dim / 2] = static_cast<float>(std::cos(angle));
    back[i * dim + i + dim / 2] = static_cast<float>(std::sin(angle));
    back[(i + dim / 2) * dim + i] = static_cast<float>(-std::sin(angle));
  }
  for (std::uint64_t i = 0; i < dim; ++i) stay[i * dim + i] = 1;
  write_linear(nets / "keys_network.safetensors", back, dim);
  write_linear(nets / "values_network.safetensors", stay, dim);
  finished const f = run_program("perplexity", {"--model", llama.path(), "--text", w.text, "--tokens", "120", "--window", "120", "--mode", "sw,kv", "--align", nets.string(),
                                                "--budget", "12", "--json"});
  INFO(f.err);
  REQUIRE(f.status == 0);
  CHECK(f.err.find("--positions in_cache undoes it exactly") != std::string::npos);
  std::istringstream lines(f.out);
  std::string line;
  std::getline(lines, line);
  auto const sw = nlohmann::json::parse(line);
  std::getline(lines, line);
  auto const kv = nlohmann::json::parse(line);
  REQUIRE(kv["policy"] == "kv");
  for (std::size_t t = 0; t < 119; ++t) CHECK(kv["nll"][t].get<double>() == doctest::Approx(sw["nll"][t].get<double>()).epsilon(1e-4));
  CHECK(run_program("align_train", {"--model", llama.path(), "--text", w.text, "--out", (w.folder / "x").string(), "--windows", "4", "--held-out", "1", "--shard", "4", "--batch", "64"}).status == 0);
}

TEST_CASE("a prompt that a policy cuts at its end is taken whole by a model with learned positions, too") {
  workshop const w;
  for (char const* policy : {"snapkv", "keydiff", "heavy_hitter", "streaming_llm"}) {
    CAPTURE(policy);
    arguments a{"--model", w.model.path(), "--positions", "in_cache", "--policy", policy, "--budget", "12", "--prompt", "A prompt of some thirty bytes.", "--tokens", "45", "--never-eos", "--json"};
    if (policy == std::string("snapkv")) a.insert(a.end(), {"--set", "window=4"});
    if (policy == std::string("heavy_hitter")) a.insert(a.end(), {"--set", "recent=4"});
    finished const f = run_program("generate", a);
    INFO(f.err);
    CHECK(f.status == 0);
  }
}

TEST_CASE("what the modes and the training cannot do is refused in one line") {
  workshop const w;
  auto const says = [](std::string const& program, arguments const& a, std::vector<std::string> const& words) {
    finished const f = run_program(program, a);
    INFO(f.err);
    CHECK(f.status == 2);
    CHECK(std::count(f.err.begin(), f.err.end(), '\n') == 1);
    for (std::string const& word : words) CHECK(f.err.find(word) != std::string::npos);
  };
  arguments const text{"--text", w.text, "--tokens", "50"};
  auto const with = [&](arguments a, std::string const& model) {
    a.insert(a.end(), text.begin(), text.end());
    a.insert(a.end(), {"--model", model});
    return a;
  };
  says("perplexity", with({"--mode", "kv", "--budget", "12"}, w.model.path()), {"learned_align", "--align"});
  says("perplexity", with({"--mode", "rk", "--budget", "12"}, w.model.path()), {"--mode is 'rk'", "kv, sw or ar"});
  says("perplexity", with({"--mode", "ar"}, w.model.path()), {"--budget"});
  says("perplexity", with({"--mode", "ar", "--policy", "roco", "--budget", "12"}, w.model.path()), {"--mode", "--policy"});
  says("perplexity", with({"--positions", "recompute"}, w.model.path()), {"recompute", "--budget"});
  says("perplexity", with({"--positions", "learned_align", "--policy", "streaming_llm", "--budget", "12", "--align", w.folder.string()}, w.model.path()),
       {"keys_network.safetensors"});
  std::string const nets = (w.folder / "nets").string();
  REQUIRE(run_program("align_train", w.training(nets)).status == 0);
  says("perplexity", with({"--positions", "learned_align", "--policy", "roco", "--budget", "12", "--align", nets}, w.model.path()), {"sinks is 0 of roco", "trained beside 4"});
  says("perplexity", with({"--positions", "learned_align", "--policy", "snapkv", "--set", "window=4", "--budget", "12", "--align", nets}, w.model.path()), {"sinks"});
  std::string const shorter = (w.folder / "shorter").string();
  REQUIRE(run_program("align_train", w.training(shorter, {"--window", "20"})).status == 0);
  says("perplexity", with({"--mode", "kv", "--budget", "20", "--align", shorter}, w.model.path()), {"--budget is 20", "at most 19 slots", "--align", "--window"});
  CHECK(run_program("perplexity", with({"--mode", "kv", "--budget", "19", "--align", shorter}, w.model.path())).status == 0);
  says("align_train", w.training((w.folder / "x").string(), {"--windows", "9", "--batch", "600"}), {"--batch is 600", "smallest shard"});
  says("align_train", w.training((w.folder / "x").string(), {"--sinks", "4294967295"}), {"--sinks is 4294967295"});
  says("align_train", w.training((w.folder / "x").string(), {"--windows", "100000"}), {"--windows"});
  says("align_train", w.training((w.folder / "x").string(), {"--window", "41"}), {"--window is 41", "40"});
  says("ask", {"build", "--document", w.text, "--max-length", "30", "--model", w.model.path(), "--positions", "recompute", "--policy", "streaming_llm", "--budget", "12", "--cache",
               (w.folder / "c").string()},
       {"recompute", "a cache on disk"});
}
