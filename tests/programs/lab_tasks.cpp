// lab over tasks, as a process, with the shipped model: what it leaves in its folder, how it goes on, and scoring
// again.

#include <cstdlib>
#include <filesystem>
#include <fstream>
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

std::vector<json> rows_of(std::string const& path) {
  std::vector<json> all;
  std::istringstream lines(support::read_file(path));
  for (std::string line; std::getline(lines, line);) {
    all.push_back(json::parse(line));
    for (char const* const field : {"seconds", "prefill_seconds"}) all.back().erase(field);
  }
  return all;
}

json object_of(std::string const& path) { return json::parse(support::read_file(path)); }

finished run(arguments const& a) {
  finished const f = run_program("lab", a);
  INFO(f.err);
  REQUIRE(f.status == 0);
  return f;
}

TEST_CASE("lab leaves command, predictions, metrics and memory of each task, and the command gives them again") {
  temporary_folder const folder;
  std::string const out = (folder / "results").string(), other = (folder / "other").string();
  finished const f =
      run({"--policy", "lsh", "--set", "bits=8", "--budget", "50%", "--tasks", "needle,reconstruction", "--length",
           "200,300", "--prompts", "4", "--depths", "2", "--out", out, "--jobs", "1", "--json"});
  CHECK(f.out == support::read_file(out + "/lab.jsonl"));
  std::vector<json> logged = rows_of(out + "/lab.jsonl");
  REQUIRE(logged.size() == 4);
  for (json const& one : logged) {
    std::string const task = one["run"]["task"];
    std::string const at =
        out + "/lsh-50%-bits=8/" + task + "-" + std::to_string(one["run"]["with"]["length"].get<int>());
    INFO(at);
    auto const rows = rows_of(at + "/predictions.jsonl");
    REQUIRE(rows.size() == 4);
    json const metrics = object_of(at + "/metrics.json");
    CHECK(metrics["samples"] == 4);
    CHECK(metrics["score"] == one["result"]["score"]);
    CHECK(metrics["metrics"].size() == (task == "needle" ? 1 : 7));
    CHECK(metrics.contains("by_depth") == (task == "needle"));
    CHECK(object_of(at + "/memory.json")["cache_bytes"] == one["result"]["cache_bytes"]);
    std::size_t right = 0;
    for (json const& row : rows) right += row["prediction"] == row["answers"][0] ? 1u : 0u;
    if (task == "needle") CHECK(metrics["score"] == static_cast<double>(right) / 4);

    std::istringstream words(object_of(at + "/run.json")["command"].get<std::string>());
    arguments again;
    std::string word;
    words >> word;
    CHECK(word == "lab");
    while (words >> word) again.push_back(word == out ? other : word);
    run(again);
    std::string const there = other + at.substr(out.size());
    CHECK(rows_of(there + "/predictions.jsonl") == rows);
    CHECK(object_of(there + "/metrics.json") == metrics);
  }
  std::string const map = support::read_file(out + "/needle.svg");
  CHECK(map.find("needle: depth by length of the prompt") != std::string::npos);
  CHECK(map.find("lsh 50%") != std::string::npos);
  CHECK(!std::filesystem::exists(out + "/reconstruction.svg"));  // nothing in it stands at a depth
}

TEST_CASE("lab finds the pass keys that passkey finds") {
  arguments const same{
      "--policy", "full,streaming_llm,roco", "--budget", "40%", "--length", "250", "--prompts", "6", "--depths", "3",
      "--json"};
  finished const theirs = run_program("passkey", same);
  REQUIRE(theirs.status == 0);
  finished const ours = run(same);
  std::istringstream a(theirs.out), b(ours.out);
  std::string x, y;
  std::size_t lines = 0;
  for (; std::getline(a, x) && std::getline(b, y); ++lines) {
    json const want = json::parse(x), got = json::parse(y);
    CHECK(got["run"]["policy"] == want["policy"]);
    CHECK(got["result"]["score"] == want["accuracy"]);
    CHECK(got["result"]["compression"] == want["compression"]);
  }
  CHECK(lines == 3);
}

TEST_CASE("lab goes on with a folder: half a row is answered again, more prompts are added, another run is refused") {
  temporary_folder const folder;
  std::string const out = (folder / "results").string();
  auto const asked = [&](arguments more) {
    arguments a{"--policy", "tova", "--budget", "60%", "--tasks", "multi_key:2", "--length", "200", "--out", out};
    a.insert(a.end(), more.begin(), more.end());
    return a;
  };
  run(asked({"--prompts", "5"}));
  std::string const at = out + "/tova-60%/multi_key_2-200/predictions.jsonl";
  auto const rows = rows_of(at);
  REQUIRE(rows.size() == 5);
  std::string const whole = support::read_file(at);
  std::size_t const third = whole.find("\n", whole.find("\n", whole.find("\n") + 1) + 1) + 1;
  std::ofstream(at, std::ios::binary) << whole.substr(0, third + 30);  // as a kill leaves it
  std::filesystem::remove(out + "/lab.jsonl");
  run(asked({"--prompts", "5"}));
  CHECK(support::read_file(at).substr(0, third) == whole.substr(0, third));
  CHECK(rows_of(at) == rows);

  run(asked({"--prompts", "7"}));
  auto const more = rows_of(at);
  REQUIRE(more.size() == 7);
  CHECK(std::equal(rows.begin(), rows.end(), more.begin()));

  finished const other = run_program("lab", asked({"--prompts", "7", "--depths", "4"}));
  CHECK(other.status == 2);
  CHECK(other.err ==
        "lab: --out: '" + out +
            "/tova-60%/multi_key_2-200' holds a run with another depths; give another --out, or remove that folder\n");
  CHECK(rows_of(at) == more);
}

TEST_CASE("lab is killed again and again: no row is lost, none is there twice") {
  temporary_folder const folder;
  std::string const out = (folder / "results").string(), other = (folder / "other").string();
  arguments const asked{"--policy", "roco", "--budget",  "50%", "--tasks", "needle,key_value",
                        "--length", "500",  "--prompts", "12",  "--jobs",  "2"};
  std::string line = std::string(KVSIFT_PROGRAM_DIR) + "/lab";
  for (std::string const& a : asked) line += " " + a;
  int kills = 0, status = -1;
  for (double seconds = 0.04; status != 0 && kills < 60; seconds *= 1.15) {
    status = std::system(
        ("timeout -s KILL " + std::to_string(seconds) + " " + line + " --out " + out + " > /dev/null 2>&1").c_str());
    kills += status != 0 ? 1 : 0;
  }
  CHECK(status == 0);
  CHECK(kills > 1);
  arguments whole = asked;
  whole.insert(whole.end(), {"--out", other});
  run(whole);
  for (std::string const task : {"needle-500", "key_value-500"}) {
    auto const rows = rows_of(out + "/roco-50%/" + task + "/predictions.jsonl");
    CHECK(rows.size() == 12);
    CHECK(rows == rows_of(other + "/roco-50%/" + task + "/predictions.jsonl"));
    CHECK(object_of(out + "/roco-50%/" + task + "/metrics.json") ==
          object_of(other + "/roco-50%/" + task + "/metrics.json"));
  }
  CHECK(rows_of(out + "/lab.jsonl").size() == 2);
}

TEST_CASE("lab score judges what is there, again and by other metrics, and runs nothing") {
  temporary_folder const folder;
  std::string const out = (folder / "results").string(), at = out + "/full/key_value-200";
  run({"--policy", "full", "--budget", "9", "--policy", "tova", "--tasks", "key_value", "--length", "200", "--prompts",
       "4", "--out", out});
  std::string const metrics = support::read_file(at + "/metrics.json");
  REQUIRE(json::parse(metrics)["score"] == 1.0);
  std::filesystem::remove(at + "/metrics.json");
  finished const again = run({"score", out});
  CHECK(support::read_file(at + "/metrics.json") == metrics);
  CHECK(again.out.find(at) != std::string::npos);
  CHECK(again.out.find("100.00 %") != std::string::npos);

  std::string text = support::read_file(at + "/predictions.jsonl");
  std::string const answer = json::parse(text.substr(0, text.find('\n')))["prediction"];
  text.replace(text.find(answer), answer.size(), "no number");
  std::ofstream(at + "/predictions.jsonl", std::ios::binary) << text;
  run({"score", at});
  CHECK(object_of(at + "/metrics.json")["score"] == 0.75);
  run({"score", at, "--metrics", "string_match_part,edit_similarity"});
  json const two = object_of(at + "/metrics.json");
  CHECK(two["metrics"].size() == 2);
  CHECK(two["score"] == 0.75);

  auto const refused = [&](arguments const& a) {
    finished const f = run_program("lab", a);
    CHECK(f.status == 2);
    CHECK(f.out.empty());
    return f.err;
  };
  CHECK(refused({"score"}) == "lab: score is given without a folder; give the one that lab --out wrote\n");
  CHECK(refused({"score", out + "/nowhere"}) ==
        "lab: '" + out + "/nowhere' is no folder; give the folder that lab --out wrote\n");
  CHECK(refused({"score", out, "--metrics", "taste"})
            .starts_with("lab: --metrics is 'taste'; give one of exact_match, "));
  std::ofstream(at + "/predictions.jsonl", std::ios::binary | std::ios::app) << "{\"sample\": 9}\n";
  CHECK(refused({"score", out}).find("line 5 is not the row of sample 4") != std::string::npos);
}

TEST_CASE("lab runs a task file: data by path, prompts cut, metrics as it says, choices by likelihood") {
  temporary_folder const folder;
  std::string const out = (folder / "results").string(), data = (folder / "rows.jsonl").string(),
                    file = (folder / "codes.json").string();
  {
    std::ofstream rows(data);
    for (int i = 0; i < 6; ++i) {
      std::string text;
      for (int k = 0; k < 30; ++k)
        text += k == 28 ? "The pass key of the fox is " + std::to_string(48213 + 1111 * i) + ". " : "The sky is blue. ";
      rows << json{{"text", text}, {"code", 48213 + 1111 * i}}.dump() << "\n";
    }
  }
  json task{{"data", "nowhere.jsonl"},
            {"prompt", "{text}What is the pass key of the fox? The pass key of the fox is "},
            {"answers", "{code}"},
            {"length", 120},
            {"cut", {{"side", "left"}, {"field", "text"}}},
            {"new_tokens", 8},
            {"stop", "."},
            {"metrics", {"f1", "string_match_part"}}};
  std::ofstream(file) << task.dump();
  finished const f = run({"--policy", "full,tova", "--budget", "20%,80%", "--tasks", file, "--data", data, "--prompts",
                          "50", "--out", out});
  CHECK(f.out.find("codes") != std::string::npos);
  CHECK(f.out.find("24") != std::string::npos);  // 20 % of 120
  auto const rows = rows_of(out + "/full/codes-120/predictions.jsonl");
  REQUIRE(rows.size() == 6);  // all there are
  for (json const& row : rows) CHECK(row["tokens"].get<int>() + 8 <= 120);
  json const metrics = object_of(out + "/full/codes-120/metrics.json");
  CHECK(metrics["metrics"].size() == 2);
  CHECK(metrics["score"] == 1.0);
  CHECK(object_of(out + "/tova-20%/codes-120/run.json")["run"]["budget"] == 24);

  task.erase("new_tokens");
  task.erase("stop");
  task["choices"] = {"48213", "49324", "50435", "51546", "52657", "53768"};
  task["metrics"] = "exact_match";
  std::string const choices = (folder / "choices.json").string();
  std::ofstream(choices) << task.dump();
  run({"--policy", "full", "--budget", "20", "--policy", "tova", "--tasks", choices, "--data", data, "--length", "100",
       "--out", out});
  CHECK(object_of(out + "/full/choices-100/metrics.json")["score"] == 1.0);
  CHECK(object_of(out + "/tova-20/choices-100/metrics.json")["samples"] == 6);

  // Another prompt is another run, whatever the file is called.
  task["prompt"] = "{text}What is the pass key of the fox? It is ";
  std::ofstream(choices) << task.dump();
  finished const changed =
      run_program("lab", {"--policy", "full", "--tasks", choices, "--data", data, "--length", "100", "--out", out});
  CHECK(changed.status == 2);
  CHECK(changed.err.find("choices-100' holds a run with another drawn_from; ") != std::string::npos);

  finished const lost = run_program("lab", {"--tasks", file, "--out", out});
  CHECK(lost.status == 2);
  CHECK(lost.err == "lab: " + folder.string() +
                        "/nowhere.jsonl: is not there; give the file with the rows, or its folder, by --data\n");
}

TEST_CASE("lab asks a judge: rows in, scores out, only where commands are allowed") {
  temporary_folder const folder;
  std::string const out = (folder / "results").string();
  run({"--policy", "full", "--tasks", "key_value", "--length", "150", "--prompts", "3", "--out", out});
  std::string const at = out + "/full/key_value-150";
  auto const refused = [&](std::string const& metrics, bool allowed) {
    arguments a{"score", out, "--metrics", metrics};
    if (allowed) a.push_back("--allow-commands");
    finished const f = run_program("lab", a);
    CHECK(f.status == 2);
    CHECK(f.out.empty());
    return f.err;
  };
  // The judge counts the sample's number: 0, 1, 2.
  std::string const judge = "command:grep -o 'sample.:[0-9]*' | cut -d: -f2";
  CHECK(refused("f1," + judge, false) ==
        "lab: --metrics has '" + judge + "'; commands are run only with --allow-commands\n");
  CHECK(refused(judge, true) ==
        "lab: --metrics begins with '" + judge + "'; the first is the score, give one that is not a command first\n");
  run({"score", out, "--metrics", "f1," + judge, "--allow-commands"});
  CHECK(object_of(at + "/metrics.json")["metrics"][judge]["mean"] == 1.0);
  CHECK(refused("f1,command:exit 3", true) ==
        "lab: metrics is 'command:exit 3'; it ended with status 3, 0 is wanted\n");
  CHECK(refused("f1,command:echo 1", true) ==
        "lab: metrics is 'command:echo 1'; it wrote 1 lines for 3 rows, one each is wanted\n");
  CHECK(refused("f1,command:echo good", true) ==
        "lab: metrics is 'command:echo good'; line 1 of what it wrote is 'good', a number is wanted\n");
}

TEST_CASE("lab split: every row in one of two files, by the seed") {
  temporary_folder const folder;
  std::string const data = (folder / "data.jsonl").string();
  {
    std::ofstream rows(data);
    for (int i = 0; i < 50; ++i) rows << json{{"i", i}}.dump() << "\n";
  }
  finished const f = run({"split", data, "--valid", "20%"});
  CHECK(f.out.find("data-valid.jsonl  10 rows") != std::string::npos);
  auto const valid = rows_of((folder / "data-valid.jsonl").string()),
             test = rows_of((folder / "data-test.jsonl").string());
  REQUIRE(valid.size() == 10);
  REQUIRE(test.size() == 40);
  std::vector<bool> seen(50, false);
  for (auto const* part : {&valid, &test}) {
    int before = -1;
    for (json const& row : *part) {
      int const i = row["i"];
      CHECK(!seen[static_cast<std::size_t>(i)]);
      seen[static_cast<std::size_t>(i)] = true;
      CHECK(i > before);  // as in the file
      before = i;
    }
  }
  run({"split", data, "--valid", "10", "--seed", "2", "--out", (folder / "other").string()});
  CHECK(rows_of((folder / "other" / "data-valid.jsonl").string()) != valid);
  finished const all = run_program("lab", {"split", data, "--valid", "50"});
  CHECK(all.err == "lab: --valid is 50; '" + data + "' has 50 rows, of which one has to be left\n");
  CHECK(run_program("lab", {"split"}).err == "lab: split is given without a file; give one with rows of data\n");
}

}  // namespace
