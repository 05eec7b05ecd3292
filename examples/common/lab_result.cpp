#include <common/lab_result.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include <common/heap_use.hpp>
#include <common/json_output.hpp>
#include <common/lab_rows.hpp>
#include <common/metrics/interval.hpp>
#include <common/tasks/answer.hpp>
#include <common/tasks/result_folder.hpp>

namespace programs {

namespace {

constexpr std::size_t most_probe_steps = 8;

// The texts of a run on which its attention is compared; as many as --probe says, the middle depth first.
std::vector<probe_text> probes_of(lab_part const& part, lab_run const& r) {
  std::vector<probe_text> all;
  loaded_model const& m = *part.model;
  if (r.plan.stand == standing::recompute) return all;  // nothing is held
  if (r.perplexity()) {
    windowed_text const& t = *part.text;
    for (std::size_t w = 0; w < std::min<std::size_t>(t.windows(), part.asked.probe); ++w) {
      auto const begin = t.tokens.begin() + static_cast<std::ptrdiff_t>(t.begins[w]);
      std::size_t const fed = t.begins[w + 1] - t.begins[w] - 1;
      if (fed < 2) continue;
      auto const cut = begin + static_cast<std::ptrdiff_t>(fed - std::min(most_probe_steps, fed / 2));
      all.push_back({{begin, cut}, {cut, begin + static_cast<std::ptrdiff_t>(fed)}});
    }
  } else {
    auto const& samples = part.drawn.at({r.task, r.length}).samples;
    for (std::size_t i = 0; i < std::min<std::size_t>(samples.size(), part.asked.probe); ++i) {
      sample const& s = samples[(i + part.asked.depths / 2) % samples.size()];
      std::vector<std::uint32_t> answer;
      if (!s.answers.empty()) answer = m.text->encode(s.answers.front(), false);
      answer.resize(std::min({answer.size(), s.new_tokens, most_probe_steps}));
      if (!answer.empty() && !s.prompt.empty()) all.push_back({s.prompt, answer});
    }
  }
  std::erase_if(all, [&](probe_text const& t) { return t.prompt.size() + t.answer.size() > m.config().max_positions; });
  return all;
}

json_value attention_of(lab_part const& part, lab_run const& r, full_attentions& looked) {
  auto const texts = probes_of(part, r);
  if (texts.empty()) return nullptr;
  std::size_t tokens = 0, steps = 0;
  if (r.perplexity()) tokens = part.text->longest;
  else
    for (sample const& one : part.drawn.at({r.task, r.length}).samples) tokens = std::max(tokens, one.tokens());
  std::vector<double> layers;
  std::vector<std::vector<double>> kept;
  double recovered = 0;
  auto const n = static_cast<double>(texts.size());
  std::string const of = part.asked.shared.model + "\n" + r.task + "\n" + std::to_string(r.length) + "\n" +
                         std::to_string(part.asked.shared.seed);
  for (probe_text const& t : texts) {
    attention_probe const p = probe_attention(*part.model, r.choice, r.plan, t, looked.of(*part.model, of, t), tokens,
                                              part.asked.shared.executor);
    layers.resize(p.recovered.size(), 0.0);
    for (std::size_t l = 0; l < layers.size(); ++l) layers[l] += p.recovered[l] / n;
    recovered += p.mean() / n;
    steps += p.steps;
    if (kept.empty()) kept = p.kept;  // the map is of the first
  }
  std::vector<std::vector<std::size_t>> map;
  for (auto const& row : kept) {
    map.emplace_back();
    for (double const one : row) map.back().push_back(static_cast<std::size_t>(std::lround(100 * one)));
  }
  return json_object({{"recovered", recovered},
                      {"loss", 1 - recovered},
                      {"recovered_by_layer", layers},
                      {"steps", steps},
                      {"tokens", texts.front().prompt.size() + texts.front().answer.size()},
                      {"kept_percent", map}});
}

// The command without its --out: in the same folder it would find itself done.
std::string command_elsewhere(lab_options a, lab_run const& r) {
  a.shared.out.clear();
  return command_of(a, r);
}

// Answers what is not answered yet.
std::string result_of_task(lab_part const& part, lab_run const& r, full_attentions& looked,
                           std::function<void(std::size_t)> const& tick) {
  lab_options const& a = part.asked;
  samples_of_task const& t = part.drawn.at({r.task, r.length});
  lab_rows const all = rows_of(*part.model, a, t, r, tick);
  std::vector<prediction_row> const& rows = all.rows;
  std::size_t tokens = 0, steps = 0;
  double seconds = 0, prefill = 0;
  compression saved;
  for (prediction_row const& row : rows) {
    tokens += row.tokens;
    steps += row.steps;
    seconds += row.seconds;
    prefill += row.prefill_seconds;
    saved += row.saved;
  }
  saved /= static_cast<double>(rows.size());
  std::vector<double> depths, by_depth;
  for (auto const& [depth, score] : score_by_depth(rows, t.asked.metrics.front())) {
    depths.push_back(depth);
    by_depth.push_back(score);
  }
  auto const scores = summarize(rows, t.asked.metrics);
  metric_summary const& score = scores.front();
  std::vector<json_value> metrics;
  for (metric_summary const& s : scores)
    metrics.push_back(json_object({{"metric", s.metric}, {"mean", s.mean}, {"standard_error", s.error}}));
  return json_object({{"score", score.mean},
                      {"metric", score.metric},
                      {"samples", rows.size()},
                      {"standard_error", score.error},
                      {"share", score.share},
                      {"scores", score.scores},
                      {"sampled", t.asked.source.empty() ? r.begins_with : std::string("data")},
                      {"by_depth", by_depth},
                      {"depths", depths},
                      {"metrics", metrics},
                      {"tokens", tokens},
                      {"seconds", seconds},
                      {"prefill_seconds", prefill},
                      {"decode_seconds", seconds - prefill},
                      {"decode_steps", steps},
                      {"cache_bytes", all.memory.cache()},
                      {"bookkeeping_bytes", all.memory.bookkeeping},
                      {"workspace_bytes", all.memory.workspace},
                      {"heap_peak_bytes", all.heap.peak()},
                      {"heap_steady_bytes", all.heap.steady()},
                      {"compression", saved.vectors},
                      {"compression_with_bookkeeping", saved.with_bookkeeping},
                      {"attention", attention_of(part, r, looked)},
                      {"budget", r.budget},
                      {"command", command_elsewhere(a, r)}})
      .text();
}

// The standard error of the mean over all tokens, of which windows are the samples, each by the tokens it has (that of a ratio).
double error_of_windows(prediction const& p, windowed_text const& t, std::uint64_t from, std::size_t& windows) {
  double squares = 0, tokens = 0;
  windows = 0;
  for (std::size_t w = 0; w < t.windows(); ++w) {
    double off = 0, n = 0;
    for (std::size_t i = t.begins[w] + from - 1; i + 1 < t.begins[w + 1]; ++i) off += p.nll[i] - p.mean_nll, n += 1;
    if (n == 0) continue;
    squares += off * off;
    tokens += n;
    ++windows;
  }
  if (windows < 2) return std::numeric_limits<double>::quiet_NaN();
  auto const n = static_cast<double>(windows);
  return std::sqrt(squares * n / (n - 1)) / tokens;
}

std::string result_of_perplexity(lab_part const& part, lab_run const& r, full_attentions& looked,
                                 std::function<void(std::size_t)> const& tick) {
  lab_options const& a = part.asked;
  heap_growth heap;
  prediction const p = predict(*part.model, r.choice, r.plan, *part.text, a.from, a.shared.executor,
                               [&](std::size_t) { heap.look(); });
  tick(1);
  std::size_t windows = 0;
  double const error = error_of_windows(p, *part.text, a.from, windows);
  return json_object({{"score", p.perplexity()},
                      {"metric", "perplexity"},
                      {"samples", windows},
                      {"mean_nll", p.mean_nll},
                      {"standard_error", error},
                      {"share", false},
                      {"sampled", "text"},
                      {"scored", p.scored},
                      {"tokens", part.text->fed()},
                      {"seconds", p.seconds},
                      {"prefill_seconds", 0.0},
                      {"decode_seconds", p.seconds},
                      {"decode_steps", part.text->fed()},
                      {"cache_bytes", p.memory.cache()},
                      {"bookkeeping_bytes", p.memory.bookkeeping},
                      {"workspace_bytes", p.memory.workspace},
                      {"heap_peak_bytes", heap.peak()},
                      {"heap_steady_bytes", heap.steady()},
                      {"compression", p.saved.vectors},
                      {"compression_with_bookkeeping", p.saved.with_bookkeeping},
                      {"attention", attention_of(part, r, looked)},
                      {"budget", r.budget},
                      {"command", command_elsewhere(a, r)}})
      .text();
}

}  // namespace

full_attention const& full_attentions::of(loaded_model const& m, std::string const& task, probe_text const& text) {
  if (task != task_) known_.clear();
  task_ = task;
  std::vector<std::uint32_t> key = text.prompt;
  key.insert(key.end(), text.answer.begin(), text.answer.end());
  auto at = known_.find(key);
  if (at == known_.end()) at = known_.emplace(std::move(key), attend_fully(m, text)).first;
  return at->second;
}

std::string result_of(lab_part const& part, lab_run const& r, full_attentions& looked,
                      std::function<void(std::size_t)> const& tick) {
  return r.perplexity() ? result_of_perplexity(part, r, looked, tick) : result_of_task(part, r, looked, tick);
}

}  // namespace programs
