#include <common/analysis/analyse.hpp>

#include <algorithm>
#include <utility>
#include <vector>

#include <common/analysis/deviation.hpp>
#include <common/analysis/overlap.hpp>
#include <common/heat_map.hpp>
#include <common/json_output.hpp>
#include <common/line_plot.hpp>
#include <common/output_file.hpp>
#include <common/progress.hpp>
#include <common/table.hpp>
#include <common/watched_cache.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <reference_model/model/transformer.hpp>

namespace programs {

namespace {

// A policy beside the full cache.
struct contender {
  policy_choice choice;
  position_plan plan;
  session run;
  std::vector<agreement> by_head{};  // [layers x kv_heads], sums over the steps
  std::vector<agreement> by_step{};  // means over the heads
};

// What the text showed.
struct findings {
  std::uint32_t layers = 0, heads = 0;
  std::vector<contender> policies;
  std::vector<deviation_by_age> deviations;  // [layers x kv_heads]

  double deviation(std::uint32_t layer, std::size_t age) const {
    double sum = 0;
    for (std::uint32_t h = 0; h < heads; ++h) sum += deviations[std::size_t{layer} * heads + h].at(age);
    return sum / heads;
  }
  agreement of(contender const& c) const {
    agreement all;
    for (agreement const& head : c.by_head) all += head;
    all /= static_cast<double>(c.by_head.size());
    return all;
  }
};

std::string name_of(contender const& c) {
  return c.choice.name + (c.choice.bounded() ? " " + std::to_string(c.choice.slots()) : "");
}

// Ages to show: 1, 2, 4 ... and the last.
std::vector<std::size_t> shown_ages(std::size_t ages) {
  std::vector<std::size_t> all;
  for (std::size_t age = 1; age < ages; age *= 2) all.push_back(age);
  all.push_back(ages);
  return all;
}

// Attention of the newest query to every token, the mean of a KV head's query heads.
std::vector<float> attention_of(watched_cache const& full, reference_model::config const& c, std::uint32_t layer,
                                std::uint32_t kv_head) {
  std::vector<float> mean;
  for (std::uint32_t g = 0; g < c.group(); ++g) {
    std::vector<float> const& one = full.attention(layer, kv_head * c.group() + g);
    mean.resize(one.size(), 0.0f);
    for (std::size_t i = 0; i < one.size(); ++i) mean[i] += one[i] / static_cast<float>(c.group());
  }
  return mean;
}

void look(analyse_options const& o, loaded_model const& m, std::vector<std::uint32_t> const& text, findings& f) {
  reference_model::config const& c = m.config();
  kvsift::parallel_executor const on(threads_of(o.shared.executor));
  reference_model::transformer decoder(m.model, 1);
  watched_cache full(c);
  std::size_t const from = static_cast<std::size_t>(o.from);
  for (contender& p : f.policies)
    feed_prompt(p.run, {text.begin(), text.begin() + static_cast<std::ptrdiff_t>(from)}, p.plan);
  progress shown("tokens", static_cast<long long>(text.size()));
  for (std::uint32_t t = 0; t < text.size(); ++t) {
    decoder.forward(on, full, &text[t], &t, 1);
    for (contender& p : f.policies)
      if (t >= from) p.by_step.emplace_back();
    for (std::uint32_t l = 0; l < c.layers; ++l)
      for (std::uint32_t h = 0; h < c.kv_heads; ++h) {
        std::vector<float> const attention = attention_of(full, c, l, h);
        std::size_t const head = std::size_t{l} * c.kv_heads + h;
        f.deviations[head].add(attention);
        if (t < from) continue;
        for (contender& p : f.policies) {
          agreement one = agreement_of({attention.data(), t}, p.run.held(l, h));
          p.by_head[head] += one;
          p.by_step.back() += one;
        }
      }
    if (t >= from)
      for (contender& p : f.policies) {
        p.by_step.back() /= static_cast<double>(p.by_head.size());
        p.run.feed(text[t]);
      }
    shown.at(t + 1);
  }
  for (contender& p : f.policies)
    for (agreement& head : p.by_head) head /= static_cast<double>(text.size() - from);
}

table overlap_table(findings const& f, bool by_head) {
  std::vector<std::string> header{"policy", "slots"};
  if (by_head) header.insert(header.end(), {"layer", "head"});
  header.insert(header.end(), {"overlap", "recovered attention"});
  table t(header);
  auto const add = [&](contender const& p, std::vector<std::string> const& where, agreement const& a) {
    std::vector<std::string> row{p.choice.name, p.choice.bounded() ? std::to_string(p.choice.slots()) : "-"};
    row.insert(row.end(), where.begin(), where.end());
    row.insert(row.end(), {fixed(a.overlap, 4), fixed(a.recovered, 4)});
    t.add(row);
  };
  for (contender const& p : f.policies) {
    if (!by_head) add(p, {}, f.of(p));
    for (std::size_t i = 0; by_head && i < p.by_head.size(); ++i)
      add(p, {std::to_string(i / f.heads), std::to_string(i % f.heads)}, p.by_head[i]);
  }
  return t;
}

table deviation_table(findings const& f, bool every_age) {
  std::vector<std::string> header{"age"};
  for (std::uint32_t l = 0; l < f.layers; ++l) header.push_back("layer " + std::to_string(l));
  table t(header);
  std::vector<std::size_t> ages = shown_ages(f.deviations[0].ages());
  if (every_age) {
    ages.clear();
    for (std::size_t age = 1; age <= f.deviations[0].ages(); ++age) ages.push_back(age);
  }
  for (std::size_t const age : ages) {
    std::vector<std::string> row{std::to_string(age)};
    for (std::uint32_t l = 0; l < f.layers; ++l) row.push_back(fixed(f.deviation(l, age), 5));
    t.add(row);
  }
  return t;
}

std::string overlap_picture(findings const& f) {
  heat_map map;
  map.title = "Kept positions among the most attended of a full cache";
  map.row_label = "layer";
  map.column_label = "KV head";
  map.value_label = "overlap";
  for (std::uint32_t l = 0; l < f.layers; ++l) map.rows.push_back(std::to_string(l));
  for (std::uint32_t h = 0; h < f.heads; ++h) map.columns.push_back(std::to_string(h));
  for (contender const& p : f.policies) {
    std::vector<std::vector<double>> cells(f.layers);
    for (std::size_t i = 0; i < p.by_head.size(); ++i) cells[i / f.heads].push_back(p.by_head[i].overlap);
    map.panels.push_back({name_of(p), cells});
  }
  return draw(map);
}

std::string deviation_picture(findings const& f) {
  line_plot plot;
  plot.title = "Standard deviation of the attention a token has received, by its age";
  plot.x_label = "age: queries that have seen it";
  plot.y_label = "standard deviation";
  plot.log_x = true;
  for (std::uint32_t l = 0; l < f.layers; ++l) {
    series line{"layer " + std::to_string(l), {}};
    for (std::size_t const age : shown_ages(f.deviations[0].ages()))
      line.points.emplace_back(static_cast<double>(age), f.deviation(l, age));
    plot.lines.push_back(std::move(line));
  }
  return draw(plot);
}

std::string as_json(findings const& f) {
  std::string lines;
  for (contender const& p : f.policies) {
    std::vector<double> heads, recovered, steps;
    for (agreement const& a : p.by_head) heads.push_back(a.overlap), recovered.push_back(a.recovered);
    for (agreement const& a : p.by_step) steps.push_back(a.overlap);
    lines += json_line({{"policy", p.choice.name},
                        {"budget", p.choice.bounded() ? json_value(p.choice.slots()) : nullptr},
                        {"overlap", f.of(p).overlap},
                        {"recovered", f.of(p).recovered},
                        {"overlap_by_head", heads},
                        {"recovered_by_head", recovered},
                        {"overlap_by_step", steps}});
  }
  for (std::uint32_t l = 0; l < f.layers; ++l) {
    std::vector<double> ages;
    for (std::size_t age = 1; age <= f.deviations[0].ages(); ++age) ages.push_back(f.deviation(l, age));
    lines += json_line({{"layer", l}, {"deviation_by_age", ages}});
  }
  return lines;
}

}  // namespace

void add_analyse_options(command_line& line, analyse_options& o) {
  add_shared_options(line, o.shared, true);
  line.add("--text", o.text, "Text file (UTF-8)").required();
  line.add("--tokens", o.tokens, "The first N tokens of it, BOS included").shows_default();
  line.add("--from", o.from, "The first of them are a prompt; P% of a budget is of it").shows_default();
  line.add("--sinks", o.sinks, "First tokens that deviation by age leaves out").shows_default();
  line.add("--json", o.as_json, "Print JSON, a line a policy and a layer, in place of the tables");
  line.example(
      "lab analyse --text stories.txt --policy roco,streaming_llm --budget 25% --out analysis\n"
      "analysis gets overlap.csv and deviation.csv, overlap.svg and deviation.svg, analysis.jsonl.");
}

int analyse(analyse_options const& o) {
  threads_of(o.shared.executor);
  std::string const words = read_text_file("--text", o.text);
  loaded_model const m = load(o.shared);
  reference_model::config const& c = m.config();
  std::vector<std::uint32_t> text = m.text->encode(words);
  if (o.tokens < text.size()) text.resize(static_cast<std::size_t>(o.tokens));
  if (text.size() > c.max_positions)
    throw usage_error("--tokens is " + std::to_string(text.size()) + "; the model has " +
                      std::to_string(c.max_positions) + " positions, give fewer");
  if (o.from < 1 || o.from >= text.size())
    throw usage_error("--from is " + std::to_string(o.from) + "; give 1 to " + std::to_string(text.size() - 1) +
                      ", below the tokens of the text");
  std::size_t const ages = text.size() / 2;
  if (o.sinks >= text.size() - ages)
    throw usage_error("--sinks is " + std::to_string(o.sinks) + "; give less than half of the tokens, " +
                      std::to_string(text.size() - ages));
  result_files files(o.shared.out, {"overlap.csv", "deviation.csv", "overlap.svg", "deviation.svg", "analysis.jsonl"});
  findings f;
  f.layers = c.layers, f.heads = c.kv_heads;
  std::size_t const heads = std::size_t{c.layers} * c.kv_heads;
  f.deviations.assign(heads, deviation_by_age(static_cast<std::size_t>(o.sinks), text.size() - ages, ages));
  for (policy_choice const& choice : choose_all(o.shared, o.from, o.from)) {
    position_plan const plan = plan_positions(o.shared, choice, m, text.size(), o.from);
    session run(m.model, choice, session_of(plan, choice, m, o.shared.executor, text.size()));
    f.policies.push_back({choice, plan, std::move(run), std::vector<agreement>(heads), {}});
  }
  look(o, m, text, f);
  if (files)
    files.commit({overlap_table(f, true).csv(), deviation_table(f, true).csv(), overlap_picture(f),
                  deviation_picture(f), as_json(f)});
  print_now(o.as_json ? as_json(f) : "overlap over " + std::to_string(text.size() - o.from) + " tokens behind a prompt of " +
                                          std::to_string(o.from) + "\n" + overlap_table(f, false).aligned() + "\n" +
                                          deviation_table(f, false).aligned());
  return 0;
}

}  // namespace programs
