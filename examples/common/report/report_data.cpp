#include <common/report/report_data.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include <common/errors.hpp>
#include <common/lab_run.hpp>
#include <common/run_differences.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>

namespace programs {

namespace {

using nlohmann::json;

double number(json const& from, char const* field) {
  return from.contains(field) && from[field].is_number() ? from[field].get<double>() : unknown;
}
std::string words(json const& from, char const* field) {
  return from.contains(field) && from[field].is_string() ? from[field].get<std::string>() : "";
}

report_run run_of(json const& line) {
  json const &run = line.at("run"), &result = line.at("result");
  json const with = run.value("with", json::object());
  report_run r;
  r.model = words(run, "model");
  r.policy = run.at("policy").get<std::string>();
  for (auto const& set : run.value("set", std::vector<std::string>{})) r.policy += " " + set;
  auto const differs = [&](char const* field, char const* usual, bool named = false) {
    std::string const value = words(run, field);
    bool const named_already = r.policy.find(", " + value) != std::string::npos;  // of several --positions
    if (!value.empty() && value != usual && !named_already) r.policy += std::string(" ") + (named ? std::string(field) + "=" : "") + value;
  };
  differs("positions", "original");
  differs("bound", "both", true);
  differs("layout", "rows");
  differs("pin", "", true);
  r.key = run.dump();
  r.task = task_label(run.at("task").get<std::string>());
  r.length = with.value("length", std::uint64_t{0});
  r.seed = run.value("seed", std::uint64_t{1});
  r.slots = run.contains("budget") && run["budget"].is_number() ? run["budget"].get<std::uint64_t>() : 0;
  r.budget = words(result, "budget");
  if (r.budget.empty() && r.slots != 0) r.budget = std::to_string(r.slots);
  r.samples = result.value("samples", with.value("prompts", std::size_t{1}));
  r.score = number(result, "score");
  r.error = number(result, "standard_error");
  r.mean_nll = number(result, "mean_nll");
  r.share = result.value("share", false);
  r.sampled = words(result, "sampled");
  r.scores = result.value("scores", std::vector<double>{});
  r.metric = words(result, "metric");
  r.command = words(result, "command");
  r.tokens = number(result, "tokens");
  r.seconds = number(result, "seconds");
  r.prefill = number(result, "prefill_seconds");
  r.decode = number(result, "decode_seconds");
  r.steps = number(result, "decode_steps");
  r.cache = number(result, "cache_bytes");
  r.bookkeeping = number(result, "bookkeeping_bytes");
  r.workspace = number(result, "workspace_bytes");
  r.heap_peak = number(result, "heap_peak_bytes");
  r.heap_steady = number(result, "heap_steady_bytes");
  r.saved = number(result, "compression_with_bookkeeping");
  if (result.contains("attention") && result["attention"].is_object()) {
    json const& seen = result["attention"];
    r.recovered = number(seen, "recovered");
    r.probe_tokens = number(seen, "tokens");
    r.recovered_by_layer = seen.value("recovered_by_layer", std::vector<double>{});
    r.kept = seen.value("kept_percent", std::vector<std::vector<double>>{});
    for (auto& row : r.kept)
      for (double& one : row) one /= 100;
  }
  return r;
}

std::vector<report_run> read_runs(std::string const& folder) {
  std::string const path = folder + "/lab.jsonl";
  std::ifstream file(path, std::ios::binary);
  if (!std::filesystem::is_directory(folder) || !file)
    throw usage_error("'" + folder + "' has no lab.jsonl; give the folder that lab --out wrote");
  std::vector<report_run> runs;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line) && !file.eof();) {  // half a last line is not there yet
    ++number;
    try {
      runs.push_back(run_of(json::parse(line)));
    } catch (json::exception const&) {
      throw reference_model::bad_file(path, "line " + std::to_string(number) +
                                                " is no result of lab; mend it, or run lab with another --out");
    }
  }
  if (runs.empty()) throw usage_error("'" + path + "' has no finished run yet; run lab on it first");
  return runs;
}

std::size_t index_in(std::vector<std::string>& list, std::string const& one) {
  auto const at = std::find(list.begin(), list.end(), one);
  if (at != list.end()) return static_cast<std::size_t>(at - list.begin());
  list.push_back(one);
  return list.size() - 1;
}

}  // namespace

std::size_t report_point::samples() const {
  std::size_t n = 0;
  for (report_run const* r : runs) n += r->samples;
  return n;
}

double report_point::score() const {
  double sum = 0, n = 0;
  for (report_run const* r : runs) {
    double const weight = static_cast<double>(std::max<std::size_t>(1, r->samples));
    sum += weight * (r->perplexity() ? std::log(r->score) : r->score);
    n += weight;
  }
  if (n == 0) return unknown;
  return any().perplexity() ? std::exp(sum / n) : sum / n;
}

interval report_point::within() const {
  if (runs.empty()) return {};
  struct sample_group {
    std::size_t samples = 0;
    double error = 0;
  };
  std::map<std::string, sample_group> groups;  // runs over the same samples tell no more than one of them
  for (report_run const* r : runs) {
    sample_group& g = groups[r->sampled];
    g.samples = std::max(g.samples, r->samples);
    g.error = std::max(g.error, r->error) + (std::isnan(r->error) ? unknown : 0.0);
  }
  std::size_t n = 0;
  for (auto const& [name, g] : groups) n += g.samples;
  if (any().share) return wilson_interval(score(), n);
  double squares = 0;
  for (auto const& [name, g] : groups) {
    double const weight = static_cast<double>(g.samples) / static_cast<double>(n);
    squares += weight * weight * g.error * g.error;
  }
  if (!any().perplexity()) return t_interval(score(), std::sqrt(squares), n);
  interval const logs = t_interval(std::log(score()), std::sqrt(squares), n);
  return {std::max(1.0, std::exp(logs.low)), std::exp(logs.high)};
}

bool alike(report_point const& a, report_point const& b) {
  std::vector<double> differences;
  std::set<std::string> seen;  // the same samples under another seed tell nothing more
  bool paired = true;
  for (report_run const* x : a.runs) {
    auto const same = [&](report_run const* y) {
      return y->seed == x->seed && y->sampled == x->sampled && y->scores.size() == x->scores.size();
    };
    auto const y = std::find_if(b.runs.begin(), b.runs.end(), same);
    paired = paired && !x->scores.empty() && y != b.runs.end();
    if (!paired || !seen.insert(x->sampled).second) continue;
    for (std::size_t i = 0; i < x->scores.size(); ++i) differences.push_back(x->scores[i] - (*y)->scores[i]);
  }
  if (!paired || differences.size() < 2) {
    interval const one = a.within(), other = b.within();
    return one.high >= other.low && one.low <= other.high;
  }
  return !differ(differences);
}

double report_point::mean(double report_run::*field) const {
  double sum = 0, n = 0;
  for (report_run const* r : runs)
    if (!std::isnan(r->*field)) sum += r->*field, n += 1;
  return n > 0 ? sum / n : unknown;
}

report_run const* report_data::first_of(std::size_t column) const {
  for (std::size_t p = 0; p < policies.size(); ++p)
    for (std::size_t b = 0; b <= budgets.size(); ++b)
      if (!at(p, column, b).runs.empty()) return at(p, column, b).runs.front();
  return nullptr;
}

report_point const* report_data::full(std::size_t column) const {
  for (std::size_t p = 0; p < policies.size(); ++p)
    if (policies[p] == "full" && !at(p, column, 0).runs.empty()) return &at(p, column, 0);
  return nullptr;
}

double report_data::mean_score(std::size_t policy, std::size_t budget) const {
  double sum = 0, n = 0;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (perplexity(c)) continue;
    if (at(policy, c, budget).runs.empty()) return unknown;
    sum += at(policy, c, budget).score();
    n += 1;
  }
  return n > 0 ? sum / n : unknown;
}

double report_data::half_width(std::size_t policy, std::size_t budget) const {
  double squares = 0, n = 0;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (perplexity(c)) continue;
    interval const i = at(policy, c, budget).within();
    squares += (i.high - i.low) * (i.high - i.low) / 4;
    n += 1;
  }
  return n > 0 ? std::sqrt(squares) / n : unknown;
}

bool report_data::for_all(std::size_t column) const {
  for (std::size_t p = 0; p < policies.size(); ++p) {
    bool here = false;
    for (std::size_t b = 0; b <= budgets.size(); ++b) here = here || !at(p, column, b).runs.empty();
    if (!here) return false;
  }
  return true;
}

double report_data::mean(std::size_t policy, std::size_t budget, double report_run::*field) const {
  double sum = 0, n = 0;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (!for_all(c)) continue;
    double const one = at(policy, c, budget).mean(field);
    if (!std::isnan(one)) sum += one, n += 1;
  }
  return n > 0 ? sum / n : unknown;
}

std::vector<std::size_t> report_data::ranked() const {
  struct worth {
    double score = 0, perplexity = 0;  // means over what there is; of equal scores the lower perplexity is better
  };
  std::vector<std::size_t> order;
  std::vector<worth> all(policies.size());
  for (std::size_t p = 0; p < policies.size(); ++p) {
    double scores = 0, perplexities = 0;
    for (std::size_t b = 1; b <= budgets.size(); ++b)
      for (std::size_t c = 0; c < columns.size(); ++c) {
        report_point const& one = at(p, c, b);
        if (one.runs.empty()) continue;
        (perplexity(c) ? all[p].perplexity : all[p].score) += one.score();
        (perplexity(c) ? perplexities : scores) += 1;
      }
    if (scores + perplexities > 0) order.push_back(p);
    all[p].score /= std::max(1.0, scores);
    all[p].perplexity /= std::max(1.0, perplexities);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return all[a].score != all[b].score ? all[a].score > all[b].score : all[a].perplexity < all[b].perplexity;
  });
  return order;
}

report_data read_results(std::string const& folder) {
  report_data d;
  d.runs = read_runs(folder);
  std::map<std::string, std::set<std::uint64_t>> lengths;
  std::set<std::string> models;
  for (report_run const& r : d.runs) {
    lengths[r.task].insert(r.length);
    models.insert(r.model);
  }
  std::map<std::string, double> slots;
  auto const column_name = [&](report_run const& r) {
    std::string name = r.task;
    if (lengths[r.task].size() > 1) name += " " + std::to_string(r.length);
    if (models.size() > 1) name += " (" + (r.model.empty() ? "shipped" : std::filesystem::path(r.model).filename().string()) + ")";
    return name;
  };
  std::vector<std::string> keys, places;
  for (report_run const& r : d.runs) {
    keys.push_back(r.key);
    places.push_back(r.policy + "\n" + column_name(r) + "\n" + r.budget);
  }
  auto const apart = run_differences(keys, places, {"seed", "prompts", "probe"});
  for (std::size_t i = 0; i < d.runs.size(); ++i) d.runs[i].policy += apart[i];
  for (report_run const& r : d.runs) {
    index_in(d.columns, column_name(r));
    index_in(d.policies, r.policy);
    if (r.budget.empty()) continue;
    index_in(d.budgets, r.budget);
    slots[r.budget] = std::max(slots[r.budget], static_cast<double>(r.slots));
  }
  std::stable_sort(d.budgets.begin(), d.budgets.end(),
                   [&](std::string const& a, std::string const& b) { return slots[a] < slots[b]; });
  std::stable_partition(d.policies.begin(), d.policies.end(), [&](std::string const& name) {
    return std::none_of(d.runs.begin(), d.runs.end(),
                        [&](report_run const& r) { return r.policy == name && !r.budget.empty(); });
  });
  d.points.resize(d.policies.size() * d.columns.size() * (d.budgets.size() + 1));
  for (report_run const& r : d.runs) {
    std::size_t const p = index_in(d.policies, r.policy), c = index_in(d.columns, column_name(r)),
                      b = r.budget.empty() ? 0 : index_in(d.budgets, r.budget) + 1;
    auto& there = d.points[(p * d.columns.size() + c) * (d.budgets.size() + 1) + b].runs;
    auto const same = std::find_if(there.begin(), there.end(), [&](report_run const* o) { return o->seed == r.seed; });
    if (same == there.end()) there.push_back(&r);
    else if ((*same)->samples <= r.samples) *same = &r;  // of one seed, the run with the most prompts
  }
  return d;
}

}  // namespace programs
