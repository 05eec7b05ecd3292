// How well a model predicts a text when its KV cache is held to a budget: several policies and budgets in one run.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <common/json_output.hpp>
#include <common/line_plot.hpp>
#include <common/output_file.hpp>
#include <common/progress.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>
#include <reference_model/model/metrics.hpp>

namespace {

using namespace programs;

struct arguments {
  shared_options shared;
  std::string text;
  std::uint64_t tokens = 0, window = 0, from = 1, prefill = 1;
  bool as_json = false;
};

void add_options(command_line& line, arguments& a) {
  add_shared_options(line, a.shared, true);
  line.add("--text", a.text, "Text file (UTF-8)").required();
  line.add("--tokens", a.tokens, "Of the text the first N tokens, BOS included (all)");
  line.add("--window", a.window, "Tokens of a window, its BOS included; each starts with an empty cache (the model's positions)");
  line.add("--from", a.from, "First token of a window that counts").shows_default();
  line.add("--prefill", a.prefill, "Tokens of a window that are fed at once, and cut to the budget").shows_default();
  line.add("--json", a.as_json, "Print one JSON object a policy and budget, in place of the table");
  line.example("perplexity --text stories.txt --policy full,roco,streaming_llm --budget 50%,25% --out results\n"
                "--out writes perplexity.csv, perplexity.svg and perplexity.jsonl. P% is of the window.");
}

// The tokens of all windows, one behind the other, each with a BOS of its own.
struct windowed_text {
  std::vector<std::uint32_t> tokens;
  std::vector<std::size_t> begins;  // of each window in tokens, and the end
  std::size_t longest = 0;
};

windowed_text cut_into_windows(std::vector<std::uint32_t> const& text, std::size_t window, std::size_t from) {
  windowed_text all;
  for (std::size_t next = 1; next < text.size(); next += window - 1) {
    std::size_t const n = std::min(window - 1, text.size() - next);
    if (n < from) break;  // nothing of it counts
    all.begins.push_back(all.tokens.size());
    all.tokens.push_back(text[0]);
    all.tokens.insert(all.tokens.end(), text.begin() + static_cast<std::ptrdiff_t>(next),
                      text.begin() + static_cast<std::ptrdiff_t>(next + n));
    all.longest = std::max(all.longest, n + 1);
  }
  all.begins.push_back(all.tokens.size());
  return all;
}

// One policy at one budget.
struct outcome {
  policy_choice choice;
  position_plan plan;
  std::vector<double> nll;  // [tokens - 1], of token i + 1; NaN where that is the BOS of the next window
  std::size_t scored = 0;
  double mean_nll = 0, seconds = 0;
  session_memory memory;
};

void score(loaded_model const& m, arguments const& a, windowed_text const& text, outcome& o, progress& shown, long long& done) {
  std::uint32_t const vocab = m.config().vocab;
  auto const begin = std::chrono::steady_clock::now();
  session run(m.model, o.choice,
              {.capacity = static_cast<std::uint32_t>(o.choice.needed(o.plan.first_piece, text.longest - 1)), .longest_piece = o.plan.first_piece,
               .in_cache = o.plan.in_cache, .every_logits = true, .executor = a.shared.executor});
  o.memory = run.memory();
  o.nll.assign(text.tokens.size() - 1, std::numeric_limits<double>::quiet_NaN());
  double sum = 0;
  for (std::size_t w = 0; w + 1 < text.begins.size(); ++w) {
    run.clear();
    std::size_t const first = text.begins[w], fed = text.begins[w + 1] - first - 1;
    for (std::size_t t = 0; t < fed;) {
      std::size_t const n = t == 0 ? std::min<std::size_t>(o.plan.first_piece, fed) : 1;
      float const* const logits = run.feed({text.tokens.data() + first + t, n});
      for (std::size_t i = 0; i < n; ++i, ++t) {
        double const nll = reference_model::negative_log_likelihood(logits + i * vocab, vocab, text.tokens[first + t + 1]);
        o.nll[first + t] = nll;
        if (t + 1 < a.from) continue;
        sum += nll;
        ++o.scored;
      }
      done += static_cast<long long>(n);
      shown.at(done, o.choice.name);
    }
  }
  o.mean_nll = sum / static_cast<double>(o.scored);
  o.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::string as_json(arguments const& a, windowed_text const& text, outcome const& o) {
  return json_line({{"policy", o.choice.name},
                    {"budget", o.choice.bounded() ? json_value(o.choice.slots()) : nullptr},
                    {"positions", o.plan.in_cache ? "in_cache" : "original"},
                    {"storage", o.choice.storage},
                    {"from", a.from},
                    {"scored", o.scored},
                    {"mean_nll", o.mean_nll},
                    {"perplexity", std::exp(o.mean_nll)},
                    {"cache_bytes", o.memory.cache()},
                    {"windows", text.begins.size() - 1},
                    {"tokens", text.tokens},
                    {"nll", o.nll}});
}

table as_table(windowed_text const& text, std::vector<outcome> const& all) {
  table t({"policy", "budget", "of window", "perplexity", "mean NLL", "tokens", "cache KiB", "tokens/s"});
  for (outcome const& o : all) {
    std::uint64_t const slots = o.choice.bounded() ? o.choice.slots() : text.longest;
    double const fed = static_cast<double>(text.tokens.size() - text.begins.size() + 1);
    t.add({o.choice.name, o.choice.bounded() ? std::to_string(slots) : "-",
           fixed(100 * std::min(1.0, static_cast<double>(slots) / static_cast<double>(text.longest)), 1) + " %",
           fixed(std::exp(o.mean_nll), 4), fixed(o.mean_nll, 5), std::to_string(o.scored),
           fixed(static_cast<double>(o.memory.cache()) / 1024, 1), fixed(fed / o.seconds, 0)});
  }
  return t;
}

std::string as_plot(arguments const& a, std::vector<outcome> const& all) {
  line_plot plot;
  plot.title = "Perplexity of " + std::filesystem::path(a.text).filename().string();
  plot.x_label = "budget, slots per KV head";
  plot.y_label = "perplexity";
  plot.log_x = plot.log_y = true;
  for (outcome const& o : all) {
    auto line = std::find_if(plot.lines.begin(), plot.lines.end(), [&](series const& s) { return s.name == o.choice.name; });
    if (line == plot.lines.end()) line = plot.lines.insert(line, {o.choice.name, {}, !o.choice.bounded()});
    line->points.emplace_back(o.choice.slots(), std::exp(o.mean_nll));
    if (o.choice.bounded()) plot.x_ticks.push_back(o.choice.slots());
  }
  return draw(plot);
}

int perplexity(arguments const& a) {
  std::string const words = read_text_file("--text", a.text);
  threads_of(a.shared.executor);
  loaded_model const m = load(a.shared);
  std::vector<std::uint32_t> tokens = m.text->encode(words);
  if (a.tokens != 0 && a.tokens < tokens.size()) tokens.resize(static_cast<std::size_t>(a.tokens));
  if (tokens.size() < 2) throw usage_error("--tokens is " + std::to_string(a.tokens) + "; give at least 2, BOS and one to predict");
  if (a.window == 1) throw usage_error("--window is 1; give at least 2 tokens, BOS and one to predict");
  std::size_t const window = std::min<std::size_t>(a.window != 0 ? a.window : m.config().max_positions, tokens.size());
  if (a.from < 1 || a.from >= window)
    throw usage_error("--from is " + std::to_string(a.from) + "; a window has tokens 1 to " + std::to_string(window - 1) + " to predict");
  if (a.prefill < 1) throw usage_error("--prefill is 0; give at least 1");
  windowed_text const text = cut_into_windows(tokens, window, a.from);

  std::vector<outcome> all;
  for (policy_choice& choice : choose_all(a.shared, window, std::min<std::uint64_t>(a.prefill, text.longest - 1))) {
    outcome o;
    o.plan = plan_positions(a.shared, choice, m.config(), text.longest - 1, std::min<std::uint64_t>(a.prefill, text.longest - 1));
    o.choice = std::move(choice);
    all.push_back(std::move(o));
  }
  std::optional<output_file> csv, plot, lines;
  if (!a.shared.out.empty()) {
    make_output_folder(a.shared.out);
    csv.emplace("--out", a.shared.out + "/perplexity.csv");
    plot.emplace("--out", a.shared.out + "/perplexity.svg");
    lines.emplace("--out", a.shared.out + "/perplexity.jsonl");
  }
  if (!a.as_json)
    for (std::string const& line : explained_budgets(a.shared, window)) std::fprintf(stderr, "%s\n", line.c_str());

  long long done = 0;
  progress shown("tokens", static_cast<long long>(all.size() * (text.tokens.size() - text.begins.size() + 1)));
  for (outcome& o : all) score(m, a, text, o, shown, done);
  shown.clear();

  std::string objects;
  for (outcome const& o : all) objects += as_json(a, text, o);
  table const results = as_table(text, all);
  if (csv) {
    csv->write(results.csv());
    plot->write(as_plot(a, all));
    lines->write(objects);
    csv->commit();
    plot->commit();
    lines->commit();
  }
  print_now(a.as_json ? objects : results.aligned());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("perplexity", [&] {
    command_line line("How well a model predicts a text when its KV cache is held to a budget.");
    arguments a;
    add_options(line, a);
    if (auto const status = line.parse(argc, argv)) return *status;
    return perplexity(a);
  });
}
