// HeadKV's scores: by hand, over a model whose attention is watched, and as the program writes them.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <common/head_table.hpp>
#include <common/needle_scores.hpp>
#include <common/session.hpp>
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

TEST_CASE("needle scores: by hand, and over a model whose attention is watched") {
  std::vector<std::uint32_t> const prompt{9, 7, 8, 1, 7, 8, 2}, answer{7, 8};
  std::vector<bool> const span = answer_span(prompt, answer);
  CHECK(span == std::vector<bool>{false, true, true, false, true, true, false});
  CHECK(answer_span(prompt, {7, 9}) == std::vector<bool>(7, false));
  // The four most attended: 5, 2, 0 and, of equals, 3 before 6. Two of them lie in the span of four.
  std::vector<float> const attention{.125f, 0, .25f, .0625f, .03125f, .4375f, .0625f, .03125f};
  CHECK(needle_score(needle_kind::reasoning, attention, span, prompt, 7, 2) == (.4375 + .25) / 4);
  CHECK(needle_score(needle_kind::retrieval, attention, span, prompt, 8, 2) == .5);
  CHECK(needle_score(needle_kind::retrieval, attention, span, prompt, 7, 2) == 0);

  tiny_model const files;
  shared_options shared;
  shared.model = files.path();
  loaded_model const m = load(shared);
  session full(m.model, choose_policy({}), {.capacity = 60, .longest_piece = 30});
  reference_model::transformer decoder(m.model, 30);
  watched_cache cache(m.config());
  kvsift::parallel_executor const on(1);
  std::vector<std::uint32_t> tokens(40), positions(40);
  for (std::uint32_t i = 0; i < 40; ++i) tokens[i] = i * 7 % 256, positions[i] = i;
  auto const close = [&](float const* got, float const* want) {
    for (std::uint32_t i = 0; i < m.config().vocab; ++i) CHECK(std::fabs(got[i] - want[i]) < 2e-4f);
  };
  close(decoder.forward(on, cache, tokens.data(), positions.data(), 30), full.feed({tokens.data(), 30}));
  for (std::uint32_t t = 30; t < 40; ++t)
    close(decoder.forward(on, cache, &tokens[t], &positions[t], 1), full.feed(tokens[t]));
  double sum = 0;
  for (float const w : cache.attention(1, 3)) sum += static_cast<double>(w);
  CHECK(cache.attention(1, 3).size() == 40);
  CHECK(sum == doctest::Approx(1).epsilon(1e-5));
}

TEST_CASE("needle_heads: a sample a prompt whose answer is written, a list a query head; it loads as head scores") {
  tiny_model const files;
  temporary_folder const folder;
  shared_options shared;
  shared.model = files.path();
  loaded_model const m = load(shared);
  std::size_t written = 0;
  std::ofstream prompts(folder / "prompts.jsonl");
  for (std::uint32_t draw = 0; draw < 200 && written < 3;
       ++draw) {  // what the model writes next, where that stands in the prompt
    std::string text;
    for (std::uint32_t i = 0; i < 40; ++i) text += static_cast<char>('A' + (draw * 7 + i * (2 * draw + 1) % 6) % 58);
    std::vector<std::uint32_t> const tokens = m.text->encode(text);
    session run(m.model, choose_policy({}), {.capacity = 60, .longest_piece = 60});
    float const* const logits = run.feed(tokens);
    auto const next = static_cast<std::uint32_t>(std::max_element(logits, logits + m.config().vocab) - logits);
    if (next > 127 || text.find(static_cast<char>(next)) == std::string::npos) continue;
    prompts << json{{"prompt", text}, {"answer", std::string(1, static_cast<char>(next))}}.dump() << "\n";
    ++written;
  }
  REQUIRE(written == 3);
  prompts << json{{"prompt", "abcabc"}, {"answer", "\x7f"}}.dump() << "\n";  // not written: does not count
  prompts.close();
  finished const f =
      run_program("needle_heads", {"--model", files.path(), "--task", (folder / "prompts.jsonl").string(), "--json",
                                   "--out", (folder / "out").string()});
  INFO(f.err);
  REQUIRE(f.status == 0);
  CHECK(f.err == "3 of 4 prompts count\n");
  json const samples = json::parse(f.out);
  REQUIRE(samples.size() == 8);
  double all = 0;
  for (auto const& [head, list] : samples.items()) {
    CHECK(list.size() == 3);
    for (double const s : list) all += s;
  }
  CHECK(all > 0);
  CHECK(support::read_file(folder / "out/needle_heads.json") == f.out);
  head_table const t = load_head_table((folder / "out/needle_heads.json").string());
  CHECK((t.layers == 2 && t.heads == 4));
}

}  // namespace
