// What a token costs: time to the first and for each after it, per policy or mode and budget.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <common/json_output.hpp>
#include <common/line_plot.hpp>
#include <common/operations.hpp>
#include <common/output_file.hpp>
#include <common/progress.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>

namespace {

using namespace programs;

struct arguments {
  shared_options shared;
  std::string prompts;
  std::uint32_t tokens = 256, trials = 3;
  bool as_json = false;
};

void add_options(command_line& line, arguments& a) {
  add_shared_options(line, a.shared, true);
  add_mode_option(line, a.shared, true);
  line.add("--prompts", a.prompts, "Text file (UTF-8) with a prompt a line (one prompt: Once upon a time)");
  line.add("--tokens", a.tokens, "Tokens to generate for each prompt").shows_default();
  line.add("--trials", a.trials, "Times that each prompt is run; one more, which is not counted, comes before").shows_default();
  line.add("--json", a.as_json, "Print one JSON object a policy and budget, in place of the table");
  line.example("latency --policy full,roco,streaming_llm --budget 64,128 --tokens 200 --out results\n"
               "latency --model reference_model/checkpoint_gpt2 --align networks --mode sw,kv,ar --budget 32,64,128,250\n"
               "Medians over prompts and trials; a token is the likeliest one, ends do not count. Mflop: of the matrix products a token, counted. --out writes latency.csv, latency.svg and latency.jsonl.");
}

// Times in milliseconds, sorted.
struct times {
  std::vector<double> all;
  double at(double share) const { return all[static_cast<std::size_t>(share * static_cast<double>(all.size() - 1))]; }
};

struct outcome {
  policy_choice choice;
  std::vector<position_plan> plans;  // of each prompt
  times first, rest;                 // per prompt and trial: of the prompt and its first token; of each after it
  std::vector<double> by_token;      // median over prompts and trials, of token 2, 3, ...
  std::size_t cache_bytes = 0;
  double operations = 0;             // of a token after the first, counted; mean over prompts and tokens
};

void measure(loaded_model const& m, arguments const& a, std::vector<std::vector<std::uint32_t>> const& prompts, outcome& o, progress& shown, long long& done) {
  using clock = std::chrono::steady_clock;
  std::uint32_t const vocab = m.config().vocab;
  std::vector<std::vector<double>> each(a.tokens - 1);
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    position_plan const& plan = o.plans[p];
    std::uint64_t const positions = prompts[p].size() + a.tokens - 1;
    session run(m.model, o.choice, session_of(plan, o.choice, m, a.shared.executor, positions));
    o.cache_bytes = std::max(o.cache_bytes, run.memory().cache());
    std::uint64_t const most = o.choice.bounded() ? o.choice.slots() + std::uint64_t{1} : positions;
    for (std::uint64_t t = prompts[p].size() + 1; t <= positions; ++t)
      o.operations += token_operations(m.config(), plan.stand, plan.align ? &*plan.align : nullptr, t, most) /
                      (static_cast<double>(a.tokens - 1) * static_cast<double>(prompts.size()));
    for (std::uint32_t trial = 0; trial <= a.trials; ++trial) {
      run.clear();
      auto watch = [last = clock::now()]() mutable {  // milliseconds since it was asked last
        auto const now = clock::now();
        double const spent = std::chrono::duration<double, std::milli>(now - last).count();
        last = now;
        return spent;
      };
      auto const likeliest = [&](float const* logits) { return static_cast<std::uint32_t>(std::max_element(logits, logits + vocab) - logits); };
      std::uint32_t next = likeliest(feed_prompt(run, prompts[p], plan));
      double const first = watch();
      double sum = 0;
      for (std::uint32_t t = 0; t + 1 < a.tokens; ++t) {
        next = likeliest(run.feed(next));
        double const spent = watch();
        sum += spent;
        if (trial != 0) each[t].push_back(spent);
      }
      if (trial != 0) {
        o.first.all.push_back(first);
        o.rest.all.push_back(sum / std::max(1.0, static_cast<double>(a.tokens) - 1));
      }
      shown.at(++done, o.choice.name);
    }
  }
  std::sort(o.first.all.begin(), o.first.all.end());
  std::sort(o.rest.all.begin(), o.rest.all.end());
  for (std::vector<double>& t : each) {
    std::sort(t.begin(), t.end());
    o.by_token.push_back(t[t.size() / 2]);
  }
}

std::string as_json(arguments const& a, outcome const& o) {
  return json_line({{"policy", o.choice.name},
                    {"budget", o.choice.bounded() ? json_value(o.choice.slots()) : nullptr},
                    {"positions", name_of(o.plans.front().stand)},
                    {"storage", o.choice.storage},
                    {"layout", a.shared.layout},
                    {"executor", a.shared.executor},
                    {"tokens", a.tokens},
                    {"trials", a.trials},
                    {"first_token_ms", o.first.at(0.5)},
                    {"token_ms", o.rest.at(0.5)},
                    {"token_ms_least", o.rest.at(0)},
                    {"token_ms_most", o.rest.at(1)},
                    {"cache_bytes", o.cache_bytes},
                    {"token_flop", o.operations},
                    {"token_ms_by_token", o.by_token}});
}

table as_table(std::vector<outcome> const& all) {
  table t({"policy", "budget", "positions", "first token ms", "token ms", "least", "most", "tokens/s", "Mflop", "Gflop/s", "cache KiB"});
  for (outcome const& o : all)
    t.add({o.choice.name, o.choice.bounded() ? std::to_string(o.choice.slots()) : "-", name_of(o.plans.front().stand), fixed(o.first.at(0.5), 3),
           fixed(o.rest.at(0.5), 3), fixed(o.rest.at(0), 3), fixed(o.rest.at(1), 3), fixed(1000 / o.rest.at(0.5), 0),
           fixed(o.operations / 1e6, 2), fixed(o.operations / 1e6 / o.rest.at(0.5), 2),
           fixed(static_cast<double>(o.cache_bytes) / 1024, 1)});
  return t;
}

// Against the budget where there are several; else against the token.
std::string as_plot(std::vector<outcome> const& all) {
  line_plot plot;
  plot.y_label = "ms a token, median";
  plot.title = "What a token costs";
  auto const first = std::find_if(all.begin(), all.end(), [](outcome const& o) { return o.choice.bounded(); });
  bool const several = std::any_of(first, all.end(), [&](outcome const& o) { return o.choice.bounded() && o.choice.slots() != first->choice.slots(); });
  plot.x_label = several ? "budget, slots per KV head" : "token";
  plot.log_x = several;
  for (outcome const& o : all) {
    auto line = std::find_if(plot.lines.begin(), plot.lines.end(), [&](series const& s) { return s.name == o.choice.name; });
    if (line == plot.lines.end()) line = plot.lines.insert(line, {o.choice.name, {}, several && !o.choice.bounded()});
    if (several) {
      line->points.emplace_back(o.choice.slots(), o.rest.at(0.5));
      if (o.choice.bounded()) plot.x_ticks.push_back(o.choice.slots());
    } else {
      for (std::size_t t = 0; t < o.by_token.size(); ++t) line->points.emplace_back(static_cast<double>(t + 2), o.by_token[t]);
    }
  }
  return draw(plot);
}

int latency(arguments const& a) {
  if (a.tokens < 2) throw usage_error("--tokens is " + std::to_string(a.tokens) + "; give at least 2, one to begin with and one to time");
  if (a.trials < 1) throw usage_error("--trials is 0; give at least 1");
  check_executor(a.shared.executor);
  std::string const text = a.prompts.empty() ? "Once upon a time" : read_text_file("--prompts", a.prompts);
  loaded_model const m = load(a.shared);
  std::vector<std::vector<std::uint32_t>> prompts;
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) prompts.push_back(m.text->encode(line));
  }
  if (prompts.empty()) throw usage_error("--prompts '" + a.prompts + "' holds no line with text; give a prompt a line");
  std::uint64_t longest = 0;
  for (auto const& p : prompts) longest = std::max<std::uint64_t>(longest, p.size());

  std::vector<outcome> all;
  for (policy_choice& choice : choose_all(a.shared, longest + a.tokens - 1, longest)) {
    outcome o;
    for (auto const& p : prompts) o.plans.push_back(plan_positions(a.shared, choice, m, p.size() + a.tokens - 1, p.size()));
    o.choice = std::move(choice);
    all.push_back(std::move(o));
  }
  result_files files(a.shared.out, {"latency.csv", "latency.svg", "latency.jsonl"});
  long long done = 0;
  progress shown("runs", static_cast<long long>(all.size() * prompts.size() * (a.trials + 1)));
  for (outcome& o : all) measure(m, a, prompts, o, shown, done);
  shown.clear();

  std::string objects;
  for (outcome const& o : all) objects += as_json(a, o);
  table const results = as_table(all);
  if (files) files.commit({results.csv(), as_plot(all), objects});
  print_now(a.as_json ? objects : results.aligned());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("latency", [&] {
    command_line line("What a token costs under a policy and a budget: time to the first, and for each after it.");
    arguments a;
    add_options(line, a);
    if (auto const status = line.parse(argc, argv)) return *status;
    return latency(a);
  });
}
