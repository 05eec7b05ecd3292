// lab analyse, as a process: against a model whose attention is watched here.

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <common/shared_options.hpp>
#include <common/watched_cache.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <reference_model/model/transformer.hpp>
#include <support/files.hpp>

#include "process.hpp"
#include "tiny_model.hpp"

namespace {

using namespace programs;
using nlohmann::json;

TEST_CASE(
    "lab analyse: a window's overlap and recovered attention are those of its positions; a full cache agrees with "
    "itself") {
  tiny_model const files;
  temporary_folder const folder;
  std::string const words = "once upon a time there was a little bird that could not sing, and a big cat";
  std::ofstream(folder / "text.txt") << words;
  std::vector<std::string> const asked{
      "analyse", "--model", files.path(), "--text",   (folder / "text.txt").string(), "--tokens",
      "48",      "--from",  "20",         "--policy", "full,streaming_llm",           "--budget",
      "10"};
  std::vector<std::string> with = asked;
  with.insert(with.end(), {"--json", "--out", (folder / "out").string()});
  finished const f = run_program("lab", with);
  INFO(f.err);
  REQUIRE(f.status == 0);
  CHECK(support::read_file(folder / "out/analysis.jsonl") == f.out);
  std::vector<json> lines;
  std::istringstream all(f.out);
  for (std::string line; std::getline(all, line);) lines.push_back(json::parse(line));
  REQUIRE(lines.size() == 4);  // two policies, two layers
  CHECK(lines[0]["overlap"] == 1);
  CHECK(lines[0]["recovered"].get<double>() == doctest::Approx(1));

  shared_options shared;
  shared.model = files.path();
  loaded_model const m = load(shared);
  std::vector<std::uint32_t> text = m.text->encode(words);
  text.resize(48);
  reference_model::transformer decoder(m.model, 1);
  watched_cache full(m.config());
  kvsift::parallel_executor const on(1);
  std::vector<double> overlap(4, 0.0), recovered(4, 0.0);
  for (std::uint32_t t = 0; t < 48; ++t) {
    decoder.forward(on, full, &text[t], &t, 1);
    if (t < 20) continue;
    for (std::uint32_t head = 0; head < 4; ++head) {
      std::vector<std::pair<float, std::uint32_t>> order;  // of the two query heads together
      double sum = 0, mass = 0;
      for (std::uint32_t p = 0; p < t; ++p) {
        float const a = full.attention(head / 2, head % 2 * 2)[p] + full.attention(head / 2, head % 2 * 2 + 1)[p];
        order.emplace_back(-a, p);
        sum += static_cast<double>(a);
        if (p < 4 || p + 6 >= t) mass += static_cast<double>(a);
      }
      std::sort(order.begin(), order.end());
      for (std::size_t r = 0; r < 10; ++r) overlap[head] += order[r].second < 4 || order[r].second + 6 >= t ? 0.1 : 0.0;
      recovered[head] += mass / sum;
    }
  }
  for (std::size_t head = 0; head < 4; ++head) {
    CHECK(lines[1]["overlap_by_head"][head].get<double>() == doctest::Approx(overlap[head] / 28));
    CHECK(lines[1]["recovered_by_head"][head].get<double>() == doctest::Approx(recovered[head] / 28));
  }
  CHECK(lines[1]["overlap_by_step"].size() == 28);
  CHECK(lines[1]["budget"] == 10);
  CHECK(lines[2]["deviation_by_age"].size() == 24);
  CHECK(lines[2]["deviation_by_age"][0] == 0);
  CHECK(lines[3]["deviation_by_age"][5].get<double>() > 0);
  CHECK(support::read_file(folder / "out/overlap.csv")
            .rfind("policy,slots,layer,head,overlap,recovered attention\n", 0) == 0);
  for (std::string const name : {"overlap.svg", "deviation.svg"})
    CHECK(support::read_file(folder / ("out/" + name)).find("</svg>") != std::string::npos);

  std::vector<std::string> wrong = asked;
  wrong.insert(wrong.end(), {"--sinks", "24"});
  CHECK(run_program("lab", wrong).err == "lab: --sinks is 24; give less than half of the tokens, 24\n");
  wrong[8] = "60";
  CHECK(run_program("lab", wrong).err == "lab: --from is 60; give 1 to 47, below the tokens of the text\n");
}

}  // namespace
