// lab experiment, as a process: what a file says is what a command line says, a row a run however often it is killed,
// and one line for what is wrong in a file.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <support/files.hpp>

#include "process.hpp"

namespace {

using arguments = std::vector<std::string>;
using nlohmann::json;

// The rows of a log by what was run, without what differs from run to run: times, and what the heap held.
std::map<std::string, json> rows_of(std::string const& text) {
  std::map<std::string, json> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    json row = json::parse(line);
    for (char const* const field : {"seconds", "prefill_seconds", "decode_seconds", "heap_peak_bytes", "heap_steady_bytes"})
      row["result"].erase(field);
    std::string const key = row["run"].dump();
    CHECK(all.count(key) == 0);  // none stands twice
    all[key] = row["result"];
  }
  return all;
}

struct bench {
  temporary_folder folder;

  std::string file(json const& experiment) const {
    std::string const path = (folder / "experiment.json").string();
    std::ofstream(path) << experiment.dump();
    return path;
  }
  std::string path(std::string const& name) const { return (folder / name).string(); }
};

json const usual{{"tasks", {"passkey", {{"task", "key_value"}, {"lengths", 120}}}},
                 {"policies", {"full", "tova", {{"policy", "lsh"}, {"set", {"bits=8"}}}}},
                 {"budgets", {"30%", 60}},
                 {"seeds", {1, 2}},
                 {"samples", 2},
                 {"lengths", 150}};

TEST_CASE("an experiment is what the command lines say: every checkpoint, seed, task, policy and budget has its row") {
  bench const b;
  finished const f = run_program("lab", {"experiment", b.file(usual), "--out", b.path("a"), "--jobs", "2"});
  INFO(f.err);
  REQUIRE(f.status == 0);
  CHECK(f.err.empty());  // no terminal: nothing is shown of how far it is
  auto const rows = rows_of(support::read_file(b.path("a") + "/lab.jsonl"));
  CHECK(rows.size() == 2 * 2 * (1 + 2 * 2));  // seeds, tasks, full once, two policies at two budgets
  CHECK(support::read_file(b.path("a") + "/experiment.json") == usual.dump());

  // By command lines, which a folder of its own keeps: the same rows.
  std::map<std::string, json> lines;
  for (std::string const seed : {"1", "2"})
    for (std::string const task : {"passkey", "key_value"})
      for (arguments policy : {arguments{"full"}, {"tova", "--budget", "30%,60"}, {"lsh", "--set", "bits=8", "--budget", "30%,60"}}) {
        arguments a{"--seed", seed, "--tasks", task, "--length", task == "passkey" ? "150" : "120", "--prompts", "2", "--json",
                    "--jobs", "1", "--out", b.path("b"), "--policy"};
        a.insert(a.end(), policy.begin(), policy.end());
        finished const one = run_program("lab", a);
        INFO(one.err);
        REQUIRE(one.status == 0);
        lines.merge(rows_of(one.out));
      }
  CHECK(lines == rows);

  // What a command line was written down as says the same again, and finds it done.
  std::string const before = support::read_file(b.path("b") + "/lab.jsonl");
  finished const again = run_program("lab", {"experiment", b.path("b") + "/experiment.json", "--out", b.path("b"), "--json"});
  INFO(again.err);
  CHECK(again.status == 0);
  CHECK(rows_of(again.out).size() == 2);
  CHECK(support::read_file(b.path("b") + "/lab.jsonl") == before);
}

TEST_CASE("full keeps all attention, a smaller budget less; both stand in the row") {
  bench const b;
  finished const f = run_program("lab", {"experiment", b.file(usual), "--out", b.path("a"), "--json"});
  REQUIRE(f.status == 0);
  std::size_t full = 0;
  for (auto const& [key, result] : rows_of(f.out)) {
    json const run = json::parse(key);
    double const mass = result["attention"]["recovered"];
    if (run["policy"] == "full") {
      CHECK(mass == doctest::Approx(1.0).epsilon(1e-5));
      ++full;
    } else {
      CHECK(mass < 1.0);
      CHECK(mass > 0.1);
    }
    CHECK(result["attention"]["loss"].get<double>() == doctest::Approx(1 - mass));
  }
  CHECK(full == 4);
}

TEST_CASE("killed at any moment, with processes at work, an experiment goes on: no row is lost, none stands twice") {
  bench const b;
  json more = usual;
  more["samples"] = 6;
  more["lengths"] = 300;
  std::string const file = b.file(more);
  arguments const asked{"experiment", file, "--jobs", "3", "--out"};
  auto const in = [&](std::string const& out) {
    arguments a = asked;
    a.push_back(b.path(out));
    return a;
  };
  REQUIRE(run_program("lab", in("whole")).status == 0);
  auto const whole = rows_of(support::read_file(b.path("whole") + "/lab.jsonl"));
  REQUIRE(whole.size() == 20);

  // Killed whenever the log has grown by some bytes, half lines and all; the first times before it is there.
  std::string const log = b.path("killed") + "/lab.jsonl";
  std::size_t kills = 0;
  std::string kept;
  for (std::size_t grows = 0;; ++grows) {
    int looks = 0;
    std::error_code none;
    auto const begin = std::filesystem::exists(log) ? std::filesystem::file_size(log) : 0;
    bool const ended = run_program_until("lab", in("killed"), [&] {
      if (grows < 2) return ++looks > (grows == 0 ? 20 : 400);
      auto const now = std::filesystem::file_size(log, none);
      return !none && now > begin + 2000 * (grows % 3);
    });
    std::string const now = std::filesystem::exists(log) ? support::read_file(log) : "";
    std::string const lines = now.substr(0, now.rfind('\n') + 1);
    CHECK(lines.substr(0, kept.size()) == kept);  // what is finished is not run again, nor moved
    kept = lines;
    if (ended) break;
    ++kills;
    if (kills > 1 && kills % 2 == 0) std::ofstream(log, std::ios::binary | std::ios::app) << "{\"run\":{\"task\":\"pass";  // as a full disk leaves it
    REQUIRE(kills < 60);
  }
  CHECK(kills >= 4);
  CHECK(rows_of(support::read_file(log)) == whole);
  finished const report = run_program("lab", {"report", b.path("killed")});
  CHECK(report.status == 0);
  std::string const page = support::read_file(b.path("killed") + "/report.html");
  std::size_t rows = 0;
  for (std::size_t at = page.find("<tr data-run"); at != std::string::npos; at = page.find("<tr data-run", at + 1)) ++rows;
  CHECK(rows == whole.size());
}

TEST_CASE("two labs on one folder share its runs") {
  bench const b;
  std::string const file = b.file(usual), out = b.path("shared");
  ::pid_t children[2];
  for (::pid_t& child : children)
    if ((child = ::fork()) == 0) ::_exit(run_program("lab", {"experiment", file, "--out", out, "--jobs", "1"}).status);
  for (::pid_t const child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  CHECK(rows_of(support::read_file(out + "/lab.jsonl")).size() == 20);
}

TEST_CASE("what is wrong in an experiment is said in one line, with field, value and remedy, before anything runs") {
  bench const b;
  auto const refused = [&](std::string const& field, json const& value) {
    json wrong = usual;
    wrong[json::json_pointer(field)] = value;
    finished const f = run_program("lab", {"experiment", b.file(wrong), "--out", b.path("out")});
    CHECK(f.status == 2);
    CHECK(f.out.empty());
    CHECK(std::count(f.err.begin(), f.err.end(), '\n') == 1);
    CHECK(!std::filesystem::exists(b.path("out")));
    std::string const begin = "lab: " + b.path("experiment.json") + ": ";
    return f.err.starts_with(begin) ? f.err.substr(begin.size()) : f.err;
  };
  CHECK(refused("/samples", 0) == "samples is 0; give a whole number of at least 1\n");
  CHECK(refused("/samples", "many") == "samples is \"many\"; give a whole number of at least 1\n");
  CHECK(refused("/sampels", 5).starts_with("sampels is 5, but is no field; give one of about, seeds, "));
  CHECK(refused("/seeds", json::array()).starts_with("seeds is []; give whole numbers from 0 to 2147483646"));
  CHECK(refused("/lengths", 3).starts_with("lengths is 3; give whole numbers from 16 to "));
  CHECK(refused("/policies/2/sett", "bits=8").starts_with("policies[2].sett is \"bits=8\", but is no field; give one of policy, budgets, set, "));
  CHECK(refused("/policies/2", json{{"set", "bits=8"}}) == "policies[2] has no policy; a name, an object with policy, or a list of those is wanted\n");
  CHECK(refused("/tasks/0", 7) == "tasks is [7,{\"lengths\":120,\"task\":\"key_value\"}]; give a name, an object with task, or a list of those\n");
  CHECK(refused("/executor", 2) == "executor is 2; give a text that is not empty\n");
  CHECK(refused("/checkpoints", json{"shipped", "shipped"}).starts_with("checkpoints is [\"shipped\",\"shipped\"]; give models whose last part"));
  CHECK(refused("/policies", "chess").find("chess") != std::string::npos);
  CHECK(refused("/budgets", "0%").find("0%") != std::string::npos);
  CHECK(run_program("lab", {"experiment"}).err == "lab: experiment is given without a file; give a JSON file, examples/experiments has some\n");
  CHECK(run_program("lab", {"report"}).err == "lab: report is given without a folder; give the one that lab --out wrote\n");
  CHECK(run_program("lab", {"report", b.path("nowhere")}).err.find("nowhere") != std::string::npos);
  std::ofstream(b.path("broken.json")) << "{\"tasks\": [}";
  CHECK(run_program("lab", {"experiment", b.path("broken.json"), "--out", b.path("out")}).err ==
        "lab: " + b.path("broken.json") + ": is no JSON, byte 12 is wrong; mend it\n");
}

TEST_CASE("runs that share a folder of answers, but not how many, take turns at it") {
  bench const b;
  json const asked{{"tasks", {{{"task", "needle"}, {"samples", 5}}, {{"task", "needle"}, {"samples", 9}}}},
                   {"policies", "tova"}, {"budgets", "50%"}, {"lengths", 120}};
  std::string const out = b.path("out");
  finished const f = run_program("lab", {"experiment", b.file(asked), "--out", out, "--jobs", "2"});
  INFO(f.err);
  REQUIRE(f.status == 0);
  std::string const answers = support::read_file(out + "/tova-50%/needle-120/predictions.jsonl");
  CHECK(std::count(answers.begin(), answers.end(), '\n') == 9);
  CHECK(run_program("lab", {"experiment", b.file(asked), "--out", out}).status == 0);
}

TEST_CASE("what differs beyond policy and budget has rows of its own, in the table and in the report") {
  bench const b;
  json asked{{"tasks", "needle"}, {"policies", "tova"}, {"budgets", "50%"}, {"lengths", 120}, {"samples", 3}, {"seeds", {1, 2}}};
  finished const f = run_program("lab", {"experiment", b.file(asked), "--out", b.path("out")});
  INFO(f.err);
  REQUIRE(f.status == 0);
  CHECK(f.out.find("tova seed=1") != std::string::npos);
  CHECK(f.out.find("tova seed=2") != std::string::npos);
  asked["decode_first_token"] = true;
  asked["seeds"] = 1;
  REQUIRE(run_program("lab", {"experiment", b.file(asked), "--out", b.path("out")}).status == 0);
  REQUIRE(run_program("lab", {"report", b.path("out")}).status == 0);
  std::string const page = support::read_file(b.path("out") + "/report.html");
  CHECK(page.find("tova last_alone=false") != std::string::npos);
  CHECK(page.find("tova last_alone=true") != std::string::npos);
}

TEST_CASE("a text that several seeds read is one sample of windows, and runs over other prompts need another folder") {
  bench const b;
  std::string text;
  for (int i = 0; i < 60; ++i) text += "Once upon a time there was a little girl named Lily. ";
  std::ofstream(b.path("text.txt")) << text;
  json asked{{"tasks", "perplexity"}, {"text", b.path("text.txt")}, {"window", 64}, {"tokens", 500}, {"policies", "tova"}, {"budgets", "50%"}};
  auto const score = [&](std::string const& out, json const& seeds) {
    asked["seeds"] = seeds;
    finished const f = run_program("lab", {"experiment", b.file(asked), "--out", b.path(out)});
    INFO(f.err);
    REQUIRE(f.status == 0);
    std::string const page = support::read_file(b.path(out) + "/report.html");
    std::size_t const at = page.find("<small>[");
    REQUIRE(at != std::string::npos);
    return page.substr(at, page.find(']', at) - at);  // the interval
  };
  CHECK(score("one", 1) == score("three", {1, 2, 3}));
  json const two{{"tasks", {{{"task", "needle"}, {"depths", 5}}, {{"task", "needle"}, {"depths", 2}}}},
                 {"policies", "tova"}, {"budgets", "50%"}, {"lengths", 120}, {"samples", 5}};
  finished const f = run_program("lab", {"experiment", b.file(two), "--out", b.path("two")});
  CHECK(f.status == 2);
  CHECK(f.err.find("would share the folder") != std::string::npos);
  CHECK(!std::ifstream(b.path("two/lab.jsonl")).good());
}

}  // namespace
