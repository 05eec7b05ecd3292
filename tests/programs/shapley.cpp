// shapley and mask_heads, as processes: results that do not hang on who drew what and when, and scores
// that policies read.

#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <common/head_game.hpp>
#include <common/head_table.hpp>
#include <common/tasks/answer.hpp>
#include <shapley/exact.hpp>
#include <support/files.hpp>

#include "process.hpp"
#include "tiny_model.hpp"

namespace {

using namespace programs;
using arguments = std::vector<std::string>;
using nlohmann::json;

struct bench {
  tiny_model model;
  temporary_folder folder;
  std::string text = (folder / "text.txt").string();

  bench() {
    std::ofstream(text)
        << "once upon a time there was a little bird that could not sing, and a big cat that could, and they met.";
  }
  std::string path(std::string const& name) const { return (folder / name).string(); }
  arguments with(arguments a) const {
    a.insert(a.end(), {"--model", model.path(), "--task", "text", "--text", text, "--window", "48", "--from", "32",
                       "--recent", "4"});
    return a;
  }
  finished shapley(std::string const& out, arguments const& more) const {
    arguments a{"--out", path(out), "--until", "1/999999999"};
    a.insert(a.end(), more.begin(), more.end());
    return run_program("shapley", with(a));
  }
  std::string file(std::string const& name) const { return support::read_file(folder / name); }
};

/// Starts shapley and kills it after a while, with no chance to tidy up.
void run_and_kill(bench const& b, std::string const& out, arguments const& more, int milliseconds) {
  arguments a = b.with({"--out", b.path(out), "--until", "1/999999999"});
  a.insert(a.end(), more.begin(), more.end());
  std::string const program = std::string(KVSIFT_PROGRAM_DIR) + "/shapley";
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (std::string const& x : a) argv.push_back(const_cast<char*>(x.c_str()));
  argv.push_back(nullptr);
  pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
}

TEST_CASE("shapley: killed again and again it ends with the samples of a run in one go, none lost and none twice") {
  bench const b;
  arguments const draws{"--max-samples", "24", "--slices", "all"};
  REQUIRE(b.shapley("whole", draws).status == 0);
  for (int const wait : {3, 8, 15, 25, 40}) run_and_kill(b, "killed", draws, wait);
  finished const last = b.shapley("killed", draws);
  INFO(last.err);
  REQUIRE(last.status == 0);
  CHECK(last.err.empty());  // no progress into a pipe
  for (std::string const name : {"samples-1-1of1.jsonl", "shapley.npy", "scores.json", "shapley.json", "shapley.svg"})
    CHECK(b.file("killed/" + name) == b.file("whole/" + name));
  CHECK(b.file("whole/shapley.svg").find("</svg>") != std::string::npos);
  // Cut within its last line, as a full disk leaves it.
  std::string const samples = b.file("whole/samples-1-1of1.jsonl");
  std::ofstream(b.path("killed/samples-1-1of1.jsonl"), std::ios::binary) << samples.substr(0, samples.size() - 40);
  REQUIRE(b.shapley("killed", draws).status == 0);
  CHECK(b.file("killed/samples-1-1of1.jsonl") == samples);
}

TEST_CASE("shapley: three partial runs merged are one run of their union, and merging twice changes nothing") {
  bench const b;
  arguments const draws{"--max-samples", "30"};
  REQUIRE(b.shapley("whole", draws).status == 0);
  for (int i = 1; i <= 3; ++i)
    REQUIRE(b.shapley("part" + std::to_string(i), {"--max-samples", "30", "--part", std::to_string(i) + "/3"}).status ==
            0);
  for (int i = 1; i <= 3; ++i) {  // a header, ten draws of two slices, and in the first what everyone is worth
    std::string const part = b.file("part" + std::to_string(i) + "/samples-1-" + std::to_string(i) + "of3.jsonl");
    CHECK(std::count(part.begin(), part.end(), '\n') == (i == 1 ? 22 : 21));
  }
  auto const merged = [&](arguments folders, std::string const& out) {
    for (std::string& f : folders) f = b.path(f);
    folders.insert(folders.begin(), "merge");
    folders.insert(folders.end(), {"--out", b.path(out), "--until", "1/999999999"});
    return run_program("shapley", folders);
  };
  REQUIRE(merged({"whole"}, "one").status == 0);
  REQUIRE(merged({"part1", "part2", "part3"}, "all").status == 0);
  REQUIRE(merged({"part3", "part1", "part2", "part1", "all"}, "again").status == 0);
  REQUIRE(merged({"all"}, "all").status == 0);
  for (std::string const name : {"samples.jsonl", "shapley.npy", "scores.json", "shapley.json"}) {
    CHECK(b.file("all/" + name) == b.file("one/" + name));
    CHECK(b.file("again/" + name) == b.file("one/" + name));
    if (name != "samples.jsonl") CHECK(b.file("all/" + name) == b.file("whole/" + name));
  }
  // All in one folder, as processes that share it.
  for (int i = 3; i >= 1; --i)
    REQUIRE(b.shapley("shared", {"--max-samples", "30", "--part", std::to_string(i) + "/3"}).status == 0);
  CHECK(b.file("shared/shapley.npy") == b.file("whole/shapley.npy"));

  std::string damaged = b.file("part2/samples-1-2of3.jsonl");
  std::size_t const digit = damaged.find("\"inside\":0.", damaged.size() / 2) + 14;
  damaged[digit] = damaged[digit] == '5' ? '6' : '5';
  std::ofstream(b.path("part2/samples-1-2of3.jsonl"), std::ios::binary) << damaged;
  for (finished const& f :
       {merged({"part1", "part2", "part3"}, "none"), b.shapley("part2", {"--max-samples", "30", "--part", "2/3"})}) {
    CHECK(f.status == 2);
    CHECK(f.out.empty());
    CHECK(f.err.find("part2/samples-1-2of3.jsonl: line ") != std::string::npos);
    CHECK(f.err.find("does not match its checksum; the file is damaged, move it away") != std::string::npos);
  }
  CHECK_FALSE(std::filesystem::exists(b.path("none")));
}

TEST_CASE("the Slurm script of the guide: tasks of an array share a folder, and what is sent again changes nothing") {
  bench const b;
  REQUIRE(b.shapley("whole", {"--max-samples", "30"}).status == 0);
  auto const task = [&](int index) {
    std::string const set =
        "PATH=" KVSIFT_PROGRAM_DIR ":$PATH SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_ID=" + std::to_string(index);
    arguments a{"-c",
                set + " exec sh \"$0\" \"$@\"",
                KVSIFT_SOURCE_DIR "/docs/guide/shapley.sbatch",
                b.model.path(),
                b.path("array"),
                "--task",
                "text",
                "--text",
                b.text,
                "--window",
                "48",
                "--from",
                "32",
                "--recent",
                "4",
                "--until",
                "1/999999999",
                "--max-samples",
                "30"};
    finished const f = run_program("../../../../../../../../../../../../bin/sh", a);
    INFO(f.err);
    CHECK(f.status == 0);
  };
  for (int const index : {2, 1, 2}) task(index);
  CHECK(b.file("array/shapley.npy") == b.file("whole/shapley.npy"));
  CHECK(b.file("array/shapley.json") == b.file("whole/shapley.json"));
}

TEST_CASE("shapley: what it estimates is what every coalition is worth, and it stops by its rule") {
  bench const b;
  finished const f = b.shapley("many", {"--max-samples", "400", "--slices", "all", "--json"});
  INFO(f.err);
  REQUIRE(f.status == 0);
  json const result = json::parse(f.out);
  shared_options shared;
  shared.model = b.model.path();
  loaded_model const m = load(shared);
  task_options options;
  options.task = "text", options.text = b.text, options.window = 48, options.from = 32;
  head_task const task = make_head_task(m, shared, options);
  exact::game g{4, {}};
  for (exact::members set = 0; set < 16; ++set) {
    coalition members(4);
    for (std::size_t i = 0; i < 4; ++i) members[i] = (set >> i & 1) != 0;
    g.worth.push_back(task.value(keep_heads(members, {0, 4})));
  }
  CHECK(result["everyone"].get<double>() ==
        doctest::Approx(g.worth[15]).epsilon(1e-5));  // other flags, other last digits
  CHECK(result["nobody"].get<double>() == doctest::Approx(g.worth[0]).epsilon(1e-5));
  CHECK(std::fabs(g.worth[15] / g.worth[0] - 1) > 0.01);
  std::vector<double> const exactly = exact::shapley(g);
  double const scale = result["slices"][1]["deviation"].get<double>() / 20;  // of 400 draws
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(std::fabs(result["shapley"][i].get<double>() - exactly[i]) < 4 * scale);
    double const sliced = (exact::stratum(g, i, 1) + exact::stratum(g, i, 2)) / 2;
    CHECK(std::fabs(result["values"][i].get<double>() - sliced) < 5 * result["errors"][i].get<double>() + 1e-12);
  }
  CHECK_FALSE(result["stopped"].get<bool>());

  double const until = result["mean_absolute_difference"].get<double>() * 4;
  REQUIRE(until > 0);
  arguments const loose{"--out", b.path("loose"), "--until", std::to_string(until), "--slices", "all", "--json"};
  json const stopped = json::parse(run_program("shapley", b.with(loose)).out);
  CHECK(stopped["stopped"].get<bool>());
  CHECK(stopped["mean_absolute_difference"].get<double>() < until);
  CHECK(stopped["slices"][0]["draws"].get<int>() < 400);
  CHECK(json::parse(run_program("shapley", b.with(loose)).out) == stopped);  // nothing is left to do
}

TEST_CASE("any task is worth something: prompts, the same as a task file, by likelihood and by the task's own metric") {
  bench const b;
  shared_options shared;
  shared.model = b.model.path();
  loaded_model const m = load(shared);
  policy_choice const cut = keep_heads({true, false, false, true}, {0, 4});
  struct row {
    std::string prompt, answer, likely;  // likely: what the model writes next
  };
  std::vector<row> rows;
  for (char c = 'a'; c <= 'z' && rows.size() < 2; ++c) {
    std::string const prompt = std::string("a bird that could ") + c;
    session run(m.model, cut, {.capacity = 60, .longest_piece = 40});
    float const* const logits = run.feed(m.text->encode(prompt));
    auto const next = std::max_element(logits, logits + m.config().vocab) - logits;
    if (next > 32 && next < 127) rows.push_back({prompt, "sing", std::string(1, static_cast<char>(next))});
  }
  REQUIRE(rows.size() == 2);
  std::ofstream prompts(b.path("prompts.jsonl")), data(b.path("data.jsonl"));
  for (auto const& [prompt, answer, likely] : rows) {
    prompts << json{{"prompt", prompt}, {"answer", answer}}.dump() << "\n";
    data << json{{"said", prompt}, {"next", {answer, likely}}}.dump() << "\n";
  }
  prompts.close(), data.close();
  std::ofstream(b.path("task.json"))
      << R"({"data": "data.jsonl", "prompt": "{said}", "answers": "{next}", "new_tokens": 7,)"
      << R"( "metrics": ["edit_similarity", "f1"]})";
  auto const value = [&](std::string const& task, std::string const& metric) {
    task_options o;
    o.task = task, o.metric = metric;
    return make_head_task(m, shared, o).value(cut);
  };
  double sum = 0, other = 0;  // a byte is a token
  for (auto const& [prompt, answer, likely] : rows) {
    double best = 0;
    for (std::string const& written : {answer, likely}) {
      session run(m.model, cut, {.capacity = 60, .longest_piece = 40});
      float const* logits = run.feed(m.text->encode(prompt));
      double probability = 1;
      for (std::size_t i = 0; i < written.size(); ++i) {
        double all = 0;
        auto const token = static_cast<unsigned char>(written[i]);
        for (std::uint32_t v = 0; v < m.config().vocab; ++v)
          all += std::exp(static_cast<double>(logits[v] - logits[token]));
        probability /= all;
        if (i + 1 < written.size()) logits = run.feed(token);
      }
      double const mean = std::pow(probability, 1 / static_cast<double>(written.size()));
      if (written == answer) sum += mean / 2;
      best = std::max(best, mean);
    }
    other += best / 2;
  }
  CHECK(value(b.path("prompts.jsonl"), "likelihood") == doctest::Approx(sum).epsilon(1e-6));
  CHECK(value(b.path("task.json"), "likelihood") == doctest::Approx(other).epsilon(1e-6));
  CHECK(other > sum);

  task_options o;
  o.task = b.path("task.json");
  task const asked = find_task(o);
  auto const samples = draw_samples(m, o, asked);
  REQUIRE(samples.size() == 2);
  double score = 0;
  answer_all(m, cut, plan_samples(shared, cut, m, samples), samples, 0, "serial", false,
             [&](std::size_t i, answered const& one) { score += asked.score(one.text, samples[i]) / 2; });
  CHECK(score > 0);
  CHECK(value(b.path("task.json"), "score") == doctest::Approx(score));
  CHECK(value(b.path("task.json"), "edit_similarity") == doctest::Approx(score));
  CHECK(value(b.path("task.json"), "exact") == 0);
}

TEST_CASE("prompts that are fed once: every coalition is worth to the last bit what it is worth alone") {
  bench const b;
  shared_options shared;
  shared.model = b.model.path();
  loaded_model const m = load(shared);
  std::ofstream(b.path("prompts.jsonl")) << json{{"prompt", "a bird that could "}, {"answer", "sing"}}.dump() << "\n"
                                         << json{{"prompt", "one"}, {"answer", "two"}}.dump() << "\n";
  task_options o;
  o.task = b.path("prompts.jsonl");
  std::set<double> seen;
  for (std::string const metric : {"likelihood", "edit_similarity"})
    for (bool const alone : {false, true})
      for (std::string const layout : {"rows", "pages"}) {
        o.metric = metric, o.decode_first_token = alone, shared.layout = layout;
        head_task const task = make_head_task(m, shared, o);
        for (unsigned set = 0; set < 16; ++set) {
          coalition const members{(set & 1) != 0, (set & 2) != 0, (set & 4) != 0, (set & 8) != 0};
          for (head_window const window : {head_window{0, 4}, head_window{1, 2}}) {
            double const worth = task.worth(members, window);
            CHECK(worth == task.value(keep_heads(members, window)));
            seen.insert(worth);
          }
        }
      }
  CHECK(seen.size() > 30);
}

TEST_CASE("members of a coalition hold everything, other heads the window and what follows the prompt") {
  tiny_model const files;
  shared_options shared;
  shared.model = files.path();
  loaded_model const m = load(shared);
  for (std::uint32_t const sinks : {0u, 2u}) {
    policy_choice const choice = keep_heads({true, false, false, true}, {sinks, 5});
    session run(m.model, choice, {.capacity = 60, .longest_piece = 40});
    std::vector<std::uint32_t> const prompt(40, 'a');
    run.feed(prompt);
    for (std::uint32_t t = 0; t < 10; ++t) run.feed(98 + t);
    std::vector<std::uint32_t> window;
    for (std::uint32_t p = 0; p < sinks; ++p) window.push_back(p);
    for (std::uint32_t p = 35; p < 50; ++p) window.push_back(p);
    for (std::size_t i = 0; i < 4; ++i) {
      auto const held = run.held(static_cast<std::uint32_t>(i / 2), static_cast<std::uint32_t>(i % 2));
      std::vector<std::uint32_t> positions(held.begin(), held.end());
      std::sort(positions.begin(), positions.end());
      if (i == 0 || i == 3)
        CHECK(positions.size() == 50);
      else
        CHECK(positions == window);
    }
  }
}

TEST_CASE("scores of shapley and of needle_heads go into policies, and into masks") {
  bench const b;
  REQUIRE(b.shapley("out", {"--max-samples", "24"}).status == 0);
  head_table const arrays = load_head_table(b.path("out/shapley.npy")),
                   scores = load_head_table(b.path("out/scores.json"));
  CHECK((arrays.heads == 4 && scores.layers == 2 && scores.heads == 2));
  json const values = json::parse(b.file("out/shapley.json"))["values"];
  for (std::size_t i = 0; i < 4; ++i) CHECK(values[i] == scores.values[i]);
  std::ofstream(b.path("needles.json"))
      << R"({"0-0": [0], "0-1": [0], "0-2": [0.5, 1], "0-3": [0], "1-0": [0], "1-1": [0.125], "1-2": [0], "1-3": [0]})";
  std::string const snapkv =
      R"("policy": "snapkv", "window": 4, "kernel": 3, "pool": "max", "allocator": {"border": 1, "name": )";
  std::ofstream(b.path("by_arrays.json"))
      << "{" + snapkv + "\"cokv\", \"scores\": \"" + b.path("out/shapley.npy") + "\"}}";
  std::ofstream(b.path("by_scores.json"))
      << "{" + snapkv + "\"cokv\", \"scores\": \"" + b.path("out/scores.json") + "\"}}";
  std::ofstream(b.path("by_needles.json"))
      << R"({"policy": "snapkv", "window": 4, "kernel": 3, "pool": "max", "allocator": {"name": "headkv", "scores": ")" +
             b.path("needles.json") + "\"}}";
  arguments judged{
      "judge",
      "--policy",
      "full," + b.path("by_arrays.json") + "," + b.path("by_scores.json") + "," + b.path("by_needles.json"),
      "--budget",
      "12",
      "--json",
      "--model",
      b.model.path(),
      "--task",
      "text",
      "--text",
      b.text,
      "--window",
      "48",
      "--from",
      "32"};
  finished const f = run_program("shapley", judged);
  INFO(f.err);
  REQUIRE(f.status == 0);
  CHECK(std::count(f.out.begin(), f.out.end(), '\n') == 4);

  finished const masks =
      run_program("mask_heads", b.with({"--scores", b.path("out/scores.json") + "," + b.path("needles.json"), "--count",
                                        "1,4", "--draws", "2", "--json", "--out", b.path("masks")}));
  INFO(masks.err);
  REQUIRE(masks.status == 0);
  std::vector<json> rows;
  for (std::size_t begin = 0; begin < masks.out.size(); begin = masks.out.find('\n', begin) + 1)
    rows.push_back(json::parse(masks.out.substr(begin, masks.out.find('\n', begin) - begin)));
  REQUIRE(rows.size() == 11);
  shared_options shared;
  shared.model = b.model.path();
  loaded_model const m = load(shared);
  task_options options;
  options.task = "text", options.text = b.text, options.window = 48, options.from = 32;
  head_task const task = make_head_task(m, shared, options);
  auto const worth = [&](coalition const& members) { return task.value(keep_heads(members, {0, 4})); };
  CHECK(rows[0]["value"].get<double>() == doctest::Approx(worth({true, true, true, true})).epsilon(1e-5));
  CHECK(rows[3]["masked"] == "most");  // by needles: query head 2 of layer 0 is of KV head 1
  CHECK(rows[3]["value"].get<double>() == doctest::Approx(worth({true, false, true, true})).epsilon(1e-5));
  CHECK(rows[4]["masked"] == "least");  // of equals the last
  CHECK(rows[4]["value"].get<double>() == doctest::Approx(worth({true, true, true, false})).epsilon(1e-5));
  for (std::size_t i = 6; i < 11; ++i)
    CHECK(rows[i]["value"].get<double>() == doctest::Approx(worth(coalition(4))).epsilon(1e-5));
  CHECK(b.file("masks/mask_heads.csv").rfind("scores,masked,heads,value,deviation\n,none,0,", 0) == 0);
  CHECK(b.file("masks/mask_heads.svg").find("</svg>") != std::string::npos);
}

TEST_CASE("shapley, mask_heads and needle_heads refuse what they cannot use, in one line") {
  bench const b;
  auto const refused = [&](std::string const& program, arguments const& a) {
    finished const f = run_program(program, a);
    CHECK(f.status == 2);
    CHECK(f.out.empty());
    CHECK(std::count(f.err.begin(), f.err.end(), '\n') == 1);
    return f.err;
  };
  auto const of = [&](arguments a) {
    a.insert(a.end(), {"--out", b.path("none")});
    return refused("shapley", b.with(a));
  };
  CHECK(of({"--part", "4/3"}) == "shapley: --part is '4/3'; give I/N with I from 1 to N\n");
  CHECK(of({"--until", "1/0"}) == "shapley: --until is '1/0'; give 1/N, or a number above 0 and at most 1\n");
  CHECK(of({"--slices", "1,3"}) == "shapley: --slices is '3'; give sizes from 1 to half the heads, 2, or all\n");
  CHECK(of({"--metric", "exact"}) == "shapley: --metric is 'exact'; a text has its likelihood alone\n");
  finished const metric = run_program("shapley", {"judge", "--task", "needle", "--metric", "f2"});
  CHECK(metric.err.rfind("shapley: --metric is 'f2'; give likelihood, score (here exact_match), exact, exact_match, ",
                         0) == 0);
  CHECK(of({"--max-samples", "1"}).find("give at least 2, one for each of two runs") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(b.path("none")));
  CHECK(refused("shapley", {"merge", b.path("absent")}).find("absent' cannot be read") != std::string::npos);
  CHECK(refused("shapley", {"merge", b.folder.string()}).find("holds no samples; give folders that shapley wrote") !=
        std::string::npos);
  REQUIRE(b.shapley("one", {"--max-samples", "2"}).status == 0);
  CHECK(refused("shapley", b.with({"--out", b.path("one"), "--sinks", "1"}))
            .find("samples-1-1of1.jsonl: holds samples of {") != std::string::npos);
  std::ofstream(b.path("three.tsv")) << "1\t2\t3\n";
  CHECK(refused("mask_heads", b.with({"--scores", b.path("three.tsv")}))
            .find("has 3 heads; the model has 4 KV heads and 8 query heads") != std::string::npos);
  CHECK(refused("mask_heads", b.with({"--scores", b.path("one/scores.json"), "--count", "5"})) ==
        "mask_heads: --count is 5; the model has 4 KV heads, give at most as many\n");
  CHECK(refused("needle_heads", {"--kind", "R"}) == "needle_heads: --kind is 'R'; give reasoning or retrieval\n");
  std::ofstream(b.path("bad.jsonl")) << R"({"prompt": "a"})"
                                     << "\n";
  CHECK(refused("needle_heads", {"--model", b.model.path(), "--task", b.path("bad.jsonl")})
            .find("bad.jsonl: line 1 is no {\"prompt\": TEXT, \"answer\": TEXT}") != std::string::npos);
}

TEST_CASE("shapley: heads that no draw tells of are named, and no scores are written that nothing could read") {
  bench const b;
  finished const f = b.shapley("few", {"--max-samples", "2", "--slices", "1"});
  INFO(f.err);
  REQUIRE(f.status == 0);
  CHECK(f.out.find("no draw tells of heads ") != std::string::npos);
  CHECK(std::ifstream(b.path("few/shapley.json")).good());
  CHECK(!std::ifstream(b.path("few/scores.json")).good());
  CHECK(b.file("few/shapley.svg").find("nan") == std::string::npos);
  CHECK(run_program("shapley", {"--prompts", "0", "--out", b.path("none")}).err == "shapley: --prompts is 0; give at least 1\n");
}

}  // namespace
