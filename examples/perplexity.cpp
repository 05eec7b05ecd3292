// How well a model predicts a text when its KV cache is held to a budget: several policies and budgets in one run.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <common/json_output.hpp>
#include <common/line_plot.hpp>
#include <common/output_file.hpp>
#include <common/perplexity_task.hpp>
#include <common/progress.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>

namespace {

using namespace programs;

struct arguments {
  shared_options shared;
  std::string text, prefill = "1";
  std::uint64_t tokens = 0, window = 0, from = 1;
  bool as_json = false;
};

void add_options(command_line& line, arguments& a) {
  add_shared_options(line, a.shared, true);
  add_mode_option(line, a.shared, true);
  line.add("--text", a.text, "Text file (UTF-8)").required();
  line.add("--tokens", a.tokens, "Of the text the first N tokens, BOS included (all)");
  line.add("--window", a.window, "Tokens of a window, its BOS included; each starts with an empty cache (the model's positions)");
  line.add("--from", a.from, "First token of a window that counts").shows_default();
  line.add("--prefill", a.prefill, "How a window is fed: its first N tokens at once, and cut to the budget; fit: what fits the budget; whole; chunk:N, in pieces")
      .shows_default();
  line.add("--json", a.as_json, "Print one JSON object a policy and budget, in place of the table");
  line.example("perplexity --text stories.txt --policy full,roco,streaming_llm --budget 50%,25% --out results\n"
                "--out writes perplexity.csv, perplexity.svg, rolling.svg (along the first window) and perplexity.jsonl. P% is of the window.");
}

// One policy at one budget.
struct outcome {
  policy_choice choice;
  position_plan plan;
  prediction text;
};

std::string as_json(arguments const& a, windowed_text const& text, outcome const& o) {
  return json_line({{"policy", o.choice.name},
                    {"budget", o.choice.bounded() ? json_value(o.choice.slots()) : nullptr},
                    {"positions", name_of(o.plan.stand)},
                    {"storage", o.choice.storage},
                    {"layout", a.shared.layout},
                    {"prefill", a.prefill},
                    {"from", a.from},
                    {"scored", o.text.scored},
                    {"mean_nll", o.text.mean_nll},
                    {"perplexity", o.text.perplexity()},
                    {"cache_bytes", o.text.memory.cache()},
                    {"compression", o.text.saved.vectors},
                    {"compression_with_bookkeeping", o.text.saved.with_bookkeeping},
                    {"windows", text.windows()},
                    {"tokens", text.tokens},
                    {"nll", o.text.nll}});
}

table as_table(windowed_text const& text, std::vector<outcome> const& all) {
  table t({"policy", "budget", "of window", "perplexity", "mean NLL", "tokens", "cache KiB", "tokens/s"});
  for (outcome const& o : all) {
    std::uint64_t const slots = o.choice.bounded() ? o.choice.slots() : text.longest;
    double const fed = static_cast<double>(text.fed());
    t.add({o.choice.name, o.choice.bounded() ? std::to_string(slots) : "-",
           fixed(100 * std::min(1.0, static_cast<double>(slots) / static_cast<double>(text.longest)), 1) + " %",
           fixed(o.text.perplexity(), 4), fixed(o.text.mean_nll, 5), std::to_string(o.text.scored),
           fixed(static_cast<double>(o.text.memory.cache()) / 1024, 1), fixed(fed / o.text.seconds, 0)});
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
    line->points.emplace_back(o.choice.slots(), o.text.perplexity());
    if (o.choice.bounded()) plot.x_ticks.push_back(o.choice.slots());
  }
  return draw(plot);
}

// The mean over a stretch of the first window that ends at each point: whether a text that goes on and on is predicted as well as at its beginning.
std::string as_rolling_plot(arguments const& a, windowed_text const& text, std::vector<outcome> const& all) {
  line_plot plot;
  std::size_t const tokens = text.begins[1] - 1, stretch = std::max<std::size_t>(1, tokens / 40);
  plot.title = "Along " + std::filesystem::path(a.text).filename().string();
  plot.x_label = "token";
  plot.y_label = "mean negative log-likelihood of " + std::to_string(stretch) + " tokens";
  for (outcome const& o : all) {
    series line{o.choice.name + (o.choice.bounded() ? " " + std::to_string(o.choice.slots()) : ""), {}, false};
    for (std::size_t end = stretch; end <= tokens; end += stretch) {
      double sum = 0;
      for (std::size_t t = end - stretch; t < end; ++t) sum += o.text.nll[t];
      line.points.emplace_back(static_cast<double>(end), sum / static_cast<double>(stretch));
    }
    plot.lines.push_back(std::move(line));
  }
  return draw(plot);
}

// How a window of `fed` tokens is fed, for plan_positions: what it takes for the prompt, and the words of --prefill for the rest.
std::uint64_t prompt_of(arguments const& a, std::uint64_t fed, shared_options& o) {
  std::string const& given = a.prefill;
  if (!given.empty() && given.find_first_not_of("0123456789") == std::string::npos && given.size() <= 18) {
    std::uint64_t const n = std::stoull(given);
    if (n < 1) throw usage_error("--prefill is 0; give at least 1");
    return std::min(n, fed);
  }
  if (given != "whole" && given != "fit" && given.rfind("chunk:", 0) != 0)
    throw usage_error("--prefill is '" + given + "'; give tokens, whole, fit or chunk:N");
  if (o.bound == "generated" || o.bound == "decoding")
    throw usage_error("--bound is '" + o.bound + "', under which the whole prompt stays; give its tokens as --prefill N");
  o.prefill = given;
  return fed;
}

int perplexity(arguments const& a) {
  std::string const words = read_text_file("--text", a.text);
  check_executor(a.shared.executor);
  loaded_model const m = load(a.shared);
  windowed_text const text = cut_into_windows(m, words, a.tokens, a.window, a.from);

  shared_options shared = a.shared;
  std::uint64_t const fed = text.longest - 1, prompt = prompt_of(a, fed, shared);

  std::vector<outcome> all;
  for (policy_choice& choice : choose_all(shared, text.longest, prompt)) {
    bool const by_pieces = includes(choice.made.value.facts().moments, kvsift::moment::piece_end);
    if (choice.bounded() && prompt == fed && !by_pieces && (shared.bound == "prompt" || shared.bound == "encoding"))
      throw usage_error("--bound is '" + shared.bound + "' and the window is all prompt, at whose end " + choice.name +
                        " cuts what is not used again; give the prompt's tokens as --prefill N");
    outcome o;
    o.plan = plan_positions(shared, choice, m, fed, prompt);
    o.choice = std::move(choice);
    all.push_back(std::move(o));
  }
  result_files files(a.shared.out, {"perplexity.csv", "perplexity.svg", "rolling.svg", "perplexity.jsonl"});
  if (!a.as_json)
    for (std::string const& line : explained_budgets(a.shared, text.longest)) std::fprintf(stderr, "%s\n", line.c_str());

  long long done = 0;
  progress shown("tokens", static_cast<long long>(all.size() * text.fed()));
  for (outcome& o : all)
    o.text = predict(m, o.choice, o.plan, text, a.from, a.shared.executor, [&](std::size_t n) {
      done += static_cast<long long>(n);
      shown.at(done, o.choice.name);
    });
  shown.clear();

  std::string objects;
  for (outcome const& o : all) objects += as_json(a, text, o);
  table const results = as_table(text, all);
  if (files) files.commit({results.csv(), as_plot(a, all), as_rolling_plot(a, text, all), objects});
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
