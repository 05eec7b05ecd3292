// lab, as a process: it measures what the programs of one task measure, goes on where it stopped, and refuses what is
// not its own.

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <support/files.hpp>

#include "process.hpp"
#include "tiny_model.hpp"

namespace {

using arguments = std::vector<std::string>;
using nlohmann::json;

std::vector<json> lines_of(std::string const& text) {
  std::vector<json> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line));
  return all;
}

struct bench {
  tiny_model model;
  temporary_folder folder;
  std::string text = (folder / "text.txt").string();

  bench() {
    std::ofstream(text) << std::string(30, 'a') + " once upon a time there was a little " + std::string(60, 'b');
  }
  arguments with(arguments a) const {
    a.insert(a.end(), {"--model", model.path()});
    return a;
  }
  finished lab(arguments a) const {
    a.insert(a.end(), {"--text", text, "--tasks", "perplexity", "--policy", "full,roco,streaming_llm,lsh", "--budget",
                       "50%,80%", "--window", "40"});
    return run_program("lab", with(a));
  }
};

TEST_CASE("lab measures what perplexity measures, whatever runs at once") {
  bench const b;
  finished const alone = run_program("perplexity", b.with({"--text", b.text, "--policy", "full,roco,streaming_llm,lsh",
                                                           "--budget", "50%,80%", "--window", "40", "--json"}));
  REQUIRE(alone.status == 0);
  for (std::string const jobs : {"1", "3"}) {
    finished const side_by_side = b.lab({"--json", "--jobs", jobs});
    INFO(side_by_side.err);
    REQUIRE(side_by_side.status == 0);
    auto const want = lines_of(alone.out), got = lines_of(side_by_side.out);
    REQUIRE(got.size() == want.size());
    for (json const& w : want) {
      std::size_t found = 0;
      for (json const& g : got)
        if (g["run"]["policy"] == w["policy"] && g["run"]["budget"] == w["budget"]) {
          ++found;
          CHECK(g["result"]["score"] == w["perplexity"]);
          CHECK(g["result"]["cache_bytes"] == w["cache_bytes"]);
          CHECK(g["result"]["scored"] == w["scored"]);
          CHECK(g["result"]["compression"] == w["compression"]);
          CHECK(g["result"]["compression_with_bookkeeping"] == w["compression_with_bookkeeping"]);
        }
      CHECK(found == 1);
    }
  }
}

TEST_CASE("lab goes on where it stopped: what is in the log is not run again, half a line is") {
  bench const b;
  std::string const out = (b.folder / "results").string();
  REQUIRE(b.lab({"--out", out, "--jobs", "1"}).status == 0);
  std::string const whole = support::read_file(out + "/lab.jsonl");
  REQUIRE(lines_of(whole).size() == 7);
  CHECK(support::read_file(out + "/lab.svg").find("</svg>") != std::string::npos);
  CHECK(lines_of(whole)[0]["run"]["policy"] == "full");

  finished const again = b.lab({"--out", out, "--json"});  // nothing is left to do: the same seconds are printed
  CHECK(again.out == whole);
  CHECK(support::read_file(out + "/lab.jsonl") == whole);

  std::size_t const last = whole.rfind('\n', whole.size() - 2) + 1;
  std::ofstream(out + "/lab.jsonl", std::ios::binary) << whole.substr(0, last + 20);  // as a full disk leaves it
  REQUIRE(b.lab({"--out", out}).status == 0);
  std::string const mended = support::read_file(out + "/lab.jsonl");
  CHECK(mended.substr(0, last) == whole.substr(0, last));
  REQUIRE(lines_of(mended).size() == 7);
  CHECK(lines_of(mended)[6]["result"]["score"] == lines_of(whole)[6]["result"]["score"]);

  // Another window is another run.
  arguments const other{"--out",    out,    "--text",   b.text, "--tasks",  "perplexity",
                        "--policy", "roco", "--budget", "25%",  "--window", "44"};
  REQUIRE(run_program("lab", b.with(other)).status == 0);
  CHECK(lines_of(support::read_file(out + "/lab.jsonl")).size() == 8);
}

TEST_CASE("lab refuses tasks it has not, a task without its text, and a log that is another's") {
  bench const b;
  auto const refused = [&](arguments const& a) {
    finished const f = run_program("lab", b.with(a));
    CHECK(f.status == 2);
    CHECK(f.out.empty());
    return f.err;
  };
  CHECK(refused({"--tasks", "chess"}).starts_with("lab: --tasks is 'chess'; give perplexity, a task file (.json), one that is shipped, prompts (.jsonl), or one of passkey, needle, "));
  CHECK(refused({"--tasks", "perplexity"}) == "lab: --tasks is perplexity; give its --text\n");
  std::string const out = (b.folder / "other").string();
  std::filesystem::create_directory(out);
  std::ofstream(out + "/lab.jsonl") << "{\"letters\": 26}\n";
  std::string const said =
      refused({"--text", b.text, "--tasks", "perplexity", "--policy", "roco", "--budget", "50%", "--out", out});
  CHECK(said.find("lab.jsonl") != std::string::npos);
  CHECK(said.find("line 1 is no result of lab") != std::string::npos);
  CHECK(support::read_file(out + "/lab.jsonl") == "{\"letters\": 26}\n");
}

}  // namespace
