// The oracles against every recorded case of their policies (tests/data/traces, described in its README).
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <oracle/replay_oracle.hpp>
#include <support/approx.hpp>
#include <support/files.hpp>
#include <support/json_lite.hpp>
#include <support/policy_json.hpp>
#include <support/trace_file.hpp>

namespace {

/// The lines of a text, without spaces.
std::vector<std::string> lines_of(std::string const& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::string packed;
    for (char const c : line) {
      if (c != ' ' && c != '\r') packed += c;
    }
    lines.push_back(packed);
  }
  return lines;
}

}  // namespace

TEST_CASE("the oracles agree with every recorded case of their policies") {
  std::filesystem::path const folder = support::test_data() / "traces";
  support::json const cases = support::parse_json(support::read_file(folder / "cases.json"));
  std::map<std::string, oracle::trace> traces;
  std::map<std::string, int> agreed;
  int outputs = 0;
  for (support::json const& recorded : cases.items) {
    support::json const& policy = recorded["policy"];
    if (recorded.has("status") || !support::oracle_knows(policy["policy"].text)) continue;
    std::string const name = recorded["name"].text;
    CAPTURE(name);
    std::string const file = recorded["trace"].text;
    if (!traces.count(file)) traces[file] = support::read_trace(folder / file);
    oracle::trace const& t = traces[file];
    int const prompt = static_cast<int>(recorded["prompt"].whole());

    oracle::replay_result const result = oracle::replay(t, support::describe(policy), prompt);
    std::vector<std::string> const expected = lines_of(support::read_file(folder / "expected" / (name + ".jsonl")));
    REQUIRE(result.events.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(i);
      REQUIRE(oracle::to_line(result.events[i]) == expected[i]);
    }
    CHECK(result.smallest_gap > 1e-6);
    if (result.smallest_gap < 1e-5) MESSAGE(name << ": closest comparison " << result.smallest_gap);

    std::filesystem::path const recorded_outputs = folder / "expected" / (name + ".out.safetensors");
    if (std::filesystem::exists(recorded_outputs)) {
      support::tensor const want = support::read_safetensors(recorded_outputs).at("attention");
      CHECK(support::first_difference(result.attention, want.numbers, static_cast<std::size_t>(t.dim), 1e-6) == "");
      ++outputs;
    }
    ++agreed[policy["policy"].text];
  }
  for (std::string const& name : oracle::policy_names()) {
    if (name == "keydiff") continue;  // nothing is recorded of it
    CAPTURE(name);
    CHECK(agreed[name] > 0);
  }
  CHECK(outputs == 3);
}
