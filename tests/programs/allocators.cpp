// Budgets divided by files of head scores: what is read, what is refused, and what a session then holds.

#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <common/allocator.hpp>
#include <common/errors.hpp>
#include <common/head_table.hpp>
#include <common/session.hpp>
#include <kvsift/budget/head_scores.hpp>
#include <reference_model/expect_bad_file.hpp>
#include <reference_model/io/load_model.hpp>
#include <reference_model/shared_data.hpp>

#include "tiny_model.hpp"

namespace {

using namespace programs;
using u32 = std::uint32_t;

std::string npy(std::string const& shape, std::vector<double> const& values, std::string const& kind = "'<f8'") {
  std::string header = "{'descr': " + kind + ", 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize((header.size() + 10 + 64) / 64 * 64 - 10, ' ');
  std::string text = "\x93NUMPY\x01";
  text += '\0';
  text += static_cast<char>(header.size() % 256);
  text += static_cast<char>(header.size() / 256);
  text += header;
  text.append(reinterpret_cast<char const*>(values.data()), values.size() * sizeof(double));
  return text;
}

std::string write(temporary_folder const& folder, std::string const& name, std::string const& bytes) {
  std::ofstream(folder / name, std::ios::binary) << bytes;
  return (folder / name).string();
}

std::vector<std::size_t> held(session const& run) {
  std::vector<std::size_t> slots;
  for (u32 l = 0; l < tiny_model::layers; ++l)
    for (u32 h = 0; h < tiny_model::kv_heads; ++h) slots.push_back(run.held(l, h).size());
  return slots;
}

}  // namespace

TEST_CASE("head scores are read from JSON, TSV and .npy") {
  temporary_folder const folder;
  head_table const json = load_head_table(write(folder, "s.json", R"({"0-1": [1, 2, 3], "0-0": 0.5, "1-0": [4], "1-1": [0, 1]})"));
  CHECK((json.layers == 2 && json.heads == 2 && json.values == std::vector<double>{.5, 2, 4, .5}));
  head_table const tsv = load_head_table(write(folder, "s.tsv", "1e-1\t-2\t3\r\n4\t5.5\t6\n"));
  CHECK((tsv.layers == 2 && tsv.heads == 3 && tsv.values == std::vector<double>{.1, -2, 3, 4, 5.5, 6}));
  head_table const array = load_head_table(write(folder, "s.npy", npy("(2, 3)", {1, 2, 3, 4, 5, 6})));
  CHECK((array.layers == 2 && array.heads == 3 && array.values == std::vector<double>{1, 2, 3, 4, 5, 6}));
  // CoKV: of 2 tasks and 1 slice, contribution / count.
  std::vector<double> cokv{9, 9, 9, 9, 9, 9, 9, 9, 2, 6, 4, 3, 0, 0, 0, 0};
  head_table const task = load_head_table(write(folder, "c.npy", npy("(2, 1, 4, 2)", cokv)), 1);
  CHECK((task.layers == 1 && task.heads == 2 && task.values == std::vector<double>{.5, 2}));
}

TEST_CASE("what is no table of head scores is refused in one line") {
  temporary_folder const folder;
  auto const refused = [&](std::string const& name, std::string const& text, std::initializer_list<char const*> words,
                           std::size_t task = 0) {
    std::string const path = write(folder, name, text);
    expect_bad_file(path, words, [&] { load_head_table(path, task); });
  };
  refused("a.txt", "1", {"does not end in .json, .tsv or .npy"});
  refused("a.json", R"({"0-0": [1], "1-1": [1]})", {"has 2 heads", "2 layers of 2"});
  refused("b.json", R"({"0-0": []})", {"head 0-0 has no samples"});
  refused("c.json", R"({"0:0": 1})", {"'0:0' is no head"});
  refused("d.json", R"({"0-0": "high"})", {"head 0-0 is \"high\""});
  refused("e.json", R"({"9999-0": 1})", {"'9999-0' is no head"});
  refused("a.tsv", "1\t2\n3\n", {"line 2 has 1 numbers"});
  refused("b.tsv", "1\tx\n", {"line 1 has 'x'"});
  refused("c.tsv", "", {"holds no numbers"});
  refused("d.tsv", "nan\n", {"not finite"});
  std::string const good = npy("(1, 2)", {1, 2});
  refused("a.npy", good.substr(0, good.size() - 1), {"holds 15 bytes", "asks for 16"});
  for (std::size_t n = 0; n < 60; ++n) refused("b.npy", good.substr(0, n), {";", ""});
  refused("c.npy", npy("(1, 2)", {1, 2}, "'>f8'"), {"holds '>f8'"});
  refused("d.npy", npy("(2,)", {1, 2}), {"has 1 dimensions"});
  refused("e.npy", npy("(1, 1, 4, 1)", {1, 0, 1, 1}), {"not finite"});  // a count of 0
  refused("f.npy", npy("(1, 1, 4, 1)", {1, 1, 1, 1}), {"task 3 is asked for"}, 3);
  refused("g.npy", npy("(99999999, 99999999)", {}), {"not above 2^24"});
  expect_bad_file("absent.npy", {"cannot be read"}, [] { load_head_table("absent.npy"); });
}

TEST_CASE("a session holds what the allocator of its policy file gave each head") {
  temporary_folder const folder;
  tiny_model const files;
  reference_model::model const model = reference_model::load_model(files.path());
  std::vector<u32> tokens(60);
  for (u32 i = 0; i < 60; ++i) tokens[i] = i * 7 % 256;
  auto const run = [&](std::string const& policy) {
    session s(model, choose_policy({.policy = write(folder, "policy.json", policy)}), {.capacity = 60, .longest_piece = 40});
    s.feed({tokens.data(), 40});
    for (std::size_t t = 40; t < 60; ++t) s.feed(tokens[t]);
    return held(s);
  };
  std::string const base = R"({"policy": "accumulated_attention", "budget": 12, "recent": 4, "allocator": )";
  using list = std::vector<std::size_t>;
  CHECK(run(base + R"("uniform"})") == list{12, 12, 12, 12});
  std::string const twice = R"({"policy": "accumulated_attention", "budget": 24, "recent": 4, "allocator": )";
  CHECK(run(twice + R"("cold_compress_funnel"})") == list{24, 24, 32, 32});
  CHECK(run(twice + R"("cold_compress_pyramid"})") == list{32, 32, 24, 24});
  CHECK(run(base + R"({"name": "pyramid", "beta": 4}})") == list{18, 18, 6, 6});  // b 8: 14 falls to 2, above 4
  std::string const scores =
      write(folder, "scores.json", R"({"0-0": 1, "0-1": 0, "0-2": 2, "0-3": 1, "1-0": 0, "1-1": 0, "1-2": 3, "1-3": 1})");
  // b 8, beta 2: everyone has 4 + 4, and 16 are split 1 : 3 : 0 : 4
  CHECK(run(base + R"({"name": "headkv", "beta": 2, "scores": ")" + scores + R"("}})") == list{10, 14, 8, 16});
  std::string const values = write(folder, "values.tsv", "0.1\t-0.05\n0.25\t0\n");
  CHECK(run(base + R"({"name": "cokv", "border": 1, "scores": ")" + values + R"("}})") ==
        list{4 + 10, 4, 4 + 19, 4 + 3});  // 9.6 0 19.2 3.2 of 32
  std::string const gates = write(folder, "gates.tsv", "1.2\t0.1\n0.5\t1.0\n");
  CHECK(run(R"({"policy": "streaming_llm", "sinks": 2, "recent": 10, "allocator": {"name": "duo_attention", "sparsity": 0.5, "scores": ")" +
            gates + R"("}})") == list{60, 12, 12, 60});

  auto const says = [&](std::string const& policy) -> std::string {
    try {
      run(policy);
    } catch (std::exception const& e) {
      return e.what();
    }
    return "";
  };
  CHECK(says(base + R"("even"})").find("allocator.name' is \"even\"; give uniform, pyramid, headkv, cokv, duo_attention, cold_compress_pyramid or cold_compress_funnel") !=
        std::string::npos);
  CHECK(says(base + R"({"name": "headkv"}})").find("allocator.scores' is missing") != std::string::npos);
  CHECK(says(base + R"({"name": "pyramid", "border": 3}})").find("allocator.border' is not one of pyramid") != std::string::npos);
  CHECK(says(base + R"({"name": "headkv", "scores": ")" + values + R"("}})").find("2 layers of 2 heads; headkv needs 2 of 4") !=
        std::string::npos);
  CHECK(says(R"({"policy": "full", "allocator": "pyramid"})").find("has no budget to divide") != std::string::npos);
  CHECK(says(base + R"("pyramid", "layers": [3, 4]})").find("keep one of them") != std::string::npos);
}

TEST_CASE("the originals' policy files over a model: layer patterns, and heads by their scores") {
  temporary_folder const folder;
  tiny_model const files;
  reference_model::model const model = reference_model::load_model(files.path());
  std::vector<u32> tokens(60);
  for (u32 i = 0; i < 60; ++i) tokens[i] = i * 7 % 256;
  auto const run = [&](std::string const& policy, std::string const& budget, std::vector<std::string> const& sets = {}) {
    std::string const file = policy.find('/') == std::string::npos ? policy : std::string(KVSIFT_SOURCE_DIR "/examples/policies/") + policy + ".json";
    session s(model, choose_policy({.policy = file, .sets = sets, .budget = budget}), {.capacity = 60, .longest_piece = 60});
    s.feed({tokens.data(), 60});
    return held(s);
  };
  using list = std::vector<std::size_t>;
  // From 1.4 to 40, in eights 8 and 40; 12 slots raise the first layer to 20, and the second gives them.
  CHECK(run("cold_compress/heavy_hitter_funnel", "20") == list{20, 20, 28, 28});
  CHECK(run("cold_compress/heavy_hitter_pyramid", "20") == list{28, 28, 20, 20});
  CHECK(run("cokv/pyramid", "20") == list{32, 32, 8, 8});  // b 12: 24 falls to 0, above 8
  std::string const values = write(folder, "values.tsv", "0.1\t-0.05\n0.25\t0\n");
  std::vector<std::string> const scored{"allocator.scores=" + values, "allocator.border=1"};
  CHECK(run("cokv/cokv", "20", scored) == list{8 + 14, 8, 8 + 29, 8 + 5});  // 14.4 0 28.8 4.8 of 48
  CHECK(run("cokv", "20", scored) == run("cokv/cokv", "20", scored));
  std::string const scores =
      write(folder, "scores.json", R"({"0-0": 1, "0-1": 0, "0-2": 2, "0-3": 1, "1-0": 0, "1-1": 0, "1-2": 3, "1-3": 1})");
  CHECK(run("headkv", "20", {"allocator.scores=" + scores, "allocator.beta=2"}) == list{14 + 3, 14 + 9, 14, 14 + 12});  // 24 are split 1 : 3 : 0 : 4
}

TEST_CASE("heads that differ in budget grow by the same after the prompt") {
  temporary_folder const folder;
  tiny_model const files;
  reference_model::model const model = reference_model::load_model(files.path());
  std::string const values = write(folder, "values.tsv", "0.1\t-0.05\n0.25\t0\n");
  using list = std::vector<std::size_t>;
  auto const run = [&](std::string const& policy, std::vector<std::string> const& sets, bool pages) {
    policy_choice const choice = choose_policy({.policy = policy, .sets = sets, .budget = "20"});
    session s(model, choice, {.capacity = static_cast<u32>(choice.needed(40, 60)), .longest_piece = 40, .in_pages = pages});
    std::vector<u32> const tokens(40, 'a');
    s.feed(tokens);
    for (u32 i = 0; i < 20; ++i) s.feed(97 + i);
    CHECK_THROWS_AS(s.feed(3), kvsift::bad_argument);  // no slot more than was asked for
    return held(s);
  };
  for (bool const pages : {false, true}) {
    CHECK(run(KVSIFT_SOURCE_DIR "/examples/policies/cokv/pyramid.json", {}, pages) == list{52, 52, 28, 28});
    CHECK(run("cokv", {"allocator.scores=" + values, "allocator.border=1"}, pages) == list{42, 28, 57, 33});
  }
}

TEST_CASE("published files of head scores are read") {
  auto const folder = shared_file("data/head_scores");
  NEEDS_SHARED(folder);
  head_table const headkv = load_head_table(folder / "headkv/Meta-Llama-3-8B-Instruct_retrieval_reasoning_heads.json");
  CHECK((headkv.layers == 32 && headkv.heads == 32));
  CHECK(std::fabs(headkv.values[1] - 0.0004908741306360369) < 1e-15);
  head_table const duo = load_head_table(folder / "duo_attention/Llama-3-8B-Instruct-Gradient-1048k.full_attention_heads.tsv");
  CHECK((duo.layers == 32 && duo.heads == 8 && duo.values[0] == .859375));
  head_table const cokv = load_head_table(folder / "cokv/llama3_8b_instruct_cc.npy", 1);
  CHECK(cokv.heads == 256);
  kvsift::cache_shape const shape{32, 8, 4, 8, 1};
  std::uint64_t sum = 0;  // as published, for qasper: see budget_vectors.json
  for (u32 s : kvsift::cokv_slots(shape, cokv.values, {128, 8}, 20, kvsift::profile::published)) sum += s - 8;
  CHECK(sum == 30600);
}
