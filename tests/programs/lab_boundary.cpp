// lab boundary, as a process, with the shipped model.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <common/confidence.hpp>
#include <support/files.hpp>

#include "process.hpp"

namespace {

using namespace programs;
using arguments = std::vector<std::string>;
using nlohmann::json;

arguments const common{"--tasks", "needle", "--length", "200", "--prompts", "30"};

finished lab(arguments a, arguments const& more) {
  a.insert(a.end(), common.begin(), common.end());
  a.insert(a.end(), more.begin(), more.end());
  return run_program("lab", a);
}

std::string rows(temporary_folder const& folder, std::string const& budget) {
  return support::read_file(folder / ("out/streaming_llm-" + budget + "/needle-200/predictions.jsonl"));
}

TEST_CASE(
    "lab boundary: the smallest budget whose loss is small, from lab's rows, and again after half of them are gone") {
  temporary_folder const folder;
  std::string const out = (folder / "out").string();
  REQUIRE(lab({}, {"--policy", "streaming_llm", "--budget", "50%", "--out", out, "--jobs", "1"}).status == 0);
  std::string const before = rows(folder, "50%");
  arguments const asked{"--policy", "streaming_llm", "--within", "60%", "--step", "25", "--out", out, "--json"};
  finished const f = lab({"boundary"}, asked);
  INFO(f.err);
  REQUIRE(f.status == 0);
  CHECK(f.out == support::read_file(folder / "out/boundary.jsonl"));
  CHECK(rows(folder, "50%") == before);  // with the seconds it took: nothing was run again
  json const found = json::parse(f.out);
  CHECK(found["full"] == 1);
  CHECK(found["confidence_of_each"].get<double>() == doctest::Approx(1 - 0.05 / 3));
  std::string smallest;
  CHECK(found["tried"].size() >= 2);
  for (json const& one : found["tried"]) {
    std::size_t lost = 0;
    std::istringstream lines(rows(folder, one["budget"]));
    for (std::string line; std::getline(lines, line);) {
      json const row = json::parse(line);
      lost += row["prediction"] != row["answers"][0] ? 1u : 0u;
    }
    CHECK(one["lost"].get<double>() == doctest::Approx(static_cast<double>(lost) / 30));
    double const at_most = highest_share(lost, 30, 1 - 0.05 / 3);
    CHECK(one["at_most"].get<double>() == doctest::Approx(at_most));
    CHECK(one["within"] == (at_most <= 0.6));
    if (one["within"] == true && smallest.empty()) smallest = one["budget"];
  }
  CHECK(found["tried"][0]["within"] == false);
  CHECK(found["budget"] == smallest);
  CHECK(smallest != "");

  std::string const text = rows(folder, "100%");
  std::ofstream(folder / "out/streaming_llm-100%/needle-200/predictions.jsonl", std::ios::binary)
      << text.substr(0, text.size() / 2);
  CHECK(lab({"boundary"}, asked).out == f.out);
  finished const table =
      lab({"boundary"}, {"--policy", "streaming_llm", "--within", "60%", "--step", "25", "--out", out});
  CHECK(table.out.find("at most 60.0 points with 95.0 % confidence") != std::string::npos);
  CHECK(table.out.find("  " + smallest + "  ") != std::string::npos);
}

TEST_CASE("lab boundary refuses what can show nothing, in one line") {
  auto const refused = [&](arguments const& more) {
    finished const f = lab({"boundary"}, more);
    CHECK(f.status == 2);
    CHECK(f.out.empty());
    CHECK(std::count(f.err.begin(), f.err.end(), '\n') == 1);
    return f.err;
  };
  CHECK(
      refused({"--policy", "snapkv", "--within", "5%"}) ==
      "lab: --prompts: 30 of needle, with none of them lost, show a loss of at most 15.6 points; give at least 99, or "
      "a larger --within\n");
  CHECK(refused({"--within", "5"}) == "lab: --within is '5'; give P% with P above 0 and below 100\n");
  CHECK(refused({"--policy", "snapkv", "--budget", "5%"}) ==
        "lab: --budget is 5%; boundary looks for it, leave it out\n");
  CHECK(refused({"--within", "60%", "--step", "50", "--policy", "full"}) ==
        "lab: --policy is full, which has no budget; give one that has, or leave --budget out\n");
  CHECK(refused({"--policy", "snapkv", "--task", "perplexity"})
            .rfind("lab: --tasks is perplexity; boundary compares answers", 0) == 0);
  CHECK(refused({"--policy", "snapkv", "--step", "0"}) == "lab: --step is 0; give 1 to 100 percent\n");
  temporary_folder const folder;
  std::string const task = (folder / "judged.json").string();
  std::ofstream(task) << R"({"data": "none.jsonl", "prompt": "{q}", "answers": "{a}", "new_tokens": 4, "metrics": ["exact_match", "command:cat"]})";
  finished const f = run_program("lab", {"boundary", "--policy", "snapkv", "--tasks", task});
  CHECK(f.err == "lab: " + task + ": metrics has 'command:cat'; commands are run only with --allow-commands\n");
}

}  // namespace
