// Which query heads look at an answer while it is written: HeadKV's scores, measured on needles.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <common/head_task.hpp>
#include <common/heat_map.hpp>
#include <common/needle_scores.hpp>
#include <common/output_file.hpp>
#include <common/progress.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>
#include <common/tasks/answer.hpp>
#include <common/watched_cache.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/model/transformer.hpp>

namespace {

using namespace programs;

struct arguments {
  shared_options shared;
  task_options task;
  std::string kind = "reasoning";
  bool as_json = false;
};

void add_options(command_line& line, arguments& a) {
  line.help_column(26);
  add_model_options(line, a.shared);
  add_sample_options(line, a.task);
  line.add("--kind", a.kind,
           "reasoning: attention to the answer; retrieval: how often the answer's token is the most attended")
      .shows_default();
  line.add("--executor", a.shared.executor, "serial, parallel or parallel:N threads").shows_default();
  line.add("--out", a.shared.out,
           "Folder for needle_heads.json, a list of samples a query head, and needle_heads.svg; made when missing");
  line.add("--json", a.as_json, "Print the samples, in place of the table");
  line.example(
      "needle_heads --prompts 50 --out heads\n"
      "  generate --policy headkv --set allocator.scores=heads/needle_heads.json --budget 25% --prompt-file story.txt\n"
      "Of tasks whose prompts hold their answers. A prompt counts if more than half of its first answer is written.");
}

// Scores of all query heads [layers x Hq] for one prompt; empty if the model does not write the answer.
std::vector<double> scores_of(loaded_model const& m, kvsift::parallel_executor const& on,
                              reference_model::transformer& decoder, std::vector<std::uint32_t> const& prompt,
                              std::vector<std::uint32_t> const& answer, needle_kind kind) {
  reference_model::config const& c = m.config();
  std::vector<bool> const span = answer_span(prompt, answer);
  std::vector<double> scores(std::size_t{c.layers} * c.heads, 0.0);
  std::vector<std::uint32_t> positions(prompt.size() + answer.size());
  for (std::uint32_t i = 0; i < positions.size(); ++i) positions[i] = i;
  watched_cache cache(c);
  auto const before = static_cast<std::uint32_t>(prompt.size() - 1);
  if (before > 0) decoder.forward(on, cache, prompt.data(), positions.data(), before);
  std::uint32_t token = prompt.back();
  std::size_t right = 0;
  for (std::size_t t = 0; t < answer.size(); ++t) {
    float const* const logits = decoder.forward(on, cache, &token, positions.data() + before + t, 1);
    token = static_cast<std::uint32_t>(std::max_element(logits, logits + c.vocab) - logits);
    if (m.text->ends(token)) break;
    right += token == answer[t] ? 1u : 0u;
    for (std::uint32_t l = 0; l < c.layers; ++l)
      for (std::uint32_t h = 0; h < c.heads; ++h)
        scores[std::size_t{l} * c.heads + h] +=
            needle_score(kind, cache.attention(l, h), span, prompt, token, answer.size());
  }
  return 2 * right > answer.size() ? scores : std::vector<double>{};
}

std::string as_picture(reference_model::config const& c, std::vector<double> const& means, std::size_t samples) {
  heat_map map;
  map.title = "How much query heads look at an answer while it is written";
  map.row_label = "layer";
  map.column_label = "query head";
  double const most = std::max(1e-300, *std::max_element(means.begin(), means.end()));
  map.value_label = "of the highest, " + fixed(most, 4);
  std::vector<std::vector<double>> cells(c.layers);
  for (std::size_t i = 0; i < means.size(); ++i) cells[i / c.heads].push_back(means[i] / most);
  for (std::uint32_t l = 0; l < c.layers; ++l) map.rows.push_back(std::to_string(l));
  for (std::uint32_t h = 0; h < c.heads; ++h) map.columns.push_back(std::to_string(h));
  map.panels.push_back({std::to_string(samples) + " prompts", cells});
  return draw(map);
}

int needle_heads(arguments const& a) {
  if (a.kind != "reasoning" && a.kind != "retrieval")
    throw usage_error("--kind is '" + a.kind + "'; give reasoning or retrieval");
  kvsift::parallel_executor const on(threads_of(a.shared.executor));
  loaded_model const m = load(a.shared);
  reference_model::config const& c = m.config();
  std::vector<sample> const prompts = draw_samples(m, a.task, find_task(a.task));
  std::size_t longest = 1;
  for (sample const& s : prompts) longest = std::max(longest, s.prompt.size());
  if (longest_of(prompts) - 1 > c.max_positions)
    throw usage_error("a prompt and its answer have " + std::to_string(longest_of(prompts) - 1) +
                      " tokens; the model has " + std::to_string(c.max_positions) + " positions, give shorter ones");
  result_files files(a.shared.out, {"needle_heads.json", "needle_heads.svg"});
  reference_model::transformer decoder(m.model, static_cast<std::uint32_t>(std::max<std::size_t>(2, longest) - 1));
  std::vector<std::vector<double>> samples(std::size_t{c.layers} * c.heads);
  progress shown("prompts", static_cast<long long>(prompts.size()));
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    std::vector<double> const scores =
        scores_of(m, on, decoder, prompts[i].prompt, tokens_of_answers(*m.text, prompts[i]).front(),
                  a.kind == "retrieval" ? needle_kind::retrieval : needle_kind::reasoning);
    for (std::size_t h = 0; h < scores.size(); ++h) samples[h].push_back(scores[h]);
    shown.at(static_cast<long long>(i + 1));
  }
  shown.clear();
  if (samples[0].empty())
    throw usage_error(
        "of no prompt more than half of the answer was written; give a task that the model can do, or shorter prompts");

  nlohmann::ordered_json by_head;
  std::vector<double> means;
  std::vector<std::string> header{"layer"};
  for (std::uint32_t h = 0; h < c.heads; ++h) header.push_back("head " + std::to_string(h));
  table t(header);
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    std::vector<std::string> row{std::to_string(l)};
    for (std::uint32_t h = 0; h < c.heads; ++h) {
      std::vector<double> const& of_head = samples[std::size_t{l} * c.heads + h];
      double sum = 0;
      for (double const s : of_head) sum += s;
      means.push_back(sum / static_cast<double>(of_head.size()));
      row.push_back(fixed(means.back(), 4));
      by_head[std::to_string(l) + "-" + std::to_string(h)] = of_head;
    }
    t.add(row);
  }
  std::string const text = by_head.dump() + "\n";
  if (files) files.commit({text, as_picture(c, means, samples[0].size())});
  std::fprintf(stderr, "%zu of %zu prompts count\n", samples[0].size(), prompts.size());
  print_now(a.as_json ? text : t.aligned());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("needle_heads", [&] {
    command_line line("Which query heads look at an answer while it is written: HeadKV's head scores.");
    arguments a;
    add_options(line, a);
    if (auto const status = line.parse(argc, argv)) return *status;
    return needle_heads(a);
  });
}
