#include <common/tasks/result_folder.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include <common/metrics/bleu.hpp>
#include <common/output_file.hpp>
#include <common/tasks/judge.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>

namespace programs {

namespace {

using ordered = nlohmann::ordered_json;
using reference_model::bad_file;

constexpr double no_depth = std::numeric_limits<double>::quiet_NaN();

std::string read_all(std::string const& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream all;
  if (file) all << file.rdbuf();
  return all.str();
}

ordered read_json(std::string const& path) {
  ordered value = ordered::parse(read_all(path), nullptr, false);
  if (!value.is_object()) throw bad_file(path, "is no JSON object; lab writes it, run lab again with another --out");
  return value;
}

void write_json(std::string const& path, ordered const& value) {
  output_file file("--out", path);
  file.write(value.dump(2) + "\n");
  file.commit();
}

// The field of `wanted` that `there` has not, or has otherwise; "" if there is none.
std::string first_difference(ordered const& there, ordered const& wanted) {
  for (auto const& [field, value] : wanted.items()) {
    if (!there.is_object() || !there.contains(field)) return field;
    if (there[field] == value) continue;
    return value.is_object() ? first_difference(there[field], value) : field;
  }
  return "";
}

std::string line_of(std::size_t number, prediction_row const& r) {
  ordered row{{"sample", number}};
  if (!std::isnan(r.depth)) row["depth"] = r.depth;
  row["tokens"] = r.tokens;
  row["prediction"] = r.judged.prediction;
  row["answers"] = r.judged.answers;
  if (!r.judged.classes.empty()) row["classes"] = r.judged.classes;
  row["seconds"] = r.seconds;
  row["prefill_seconds"] = r.prefill_seconds;
  row["steps"] = r.steps;
  row["compression"] = r.saved.vectors;
  row["compression_with_bookkeeping"] = r.saved.with_bookkeeping;
  return row.dump(-1, ' ', false, ordered::error_handler_t::replace) + "\n";
}

std::vector<prediction_row> prediction_rows(std::string const& path, std::string const& text) {
  std::vector<prediction_row> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    ordered const row = ordered::parse(line, nullptr, false);
    try {
      prediction_row r;
      if (row.at("sample").get<std::size_t>() != rows.size()) throw std::runtime_error("sample");
      r.judged.prediction = row.at("prediction").get<std::string>();
      r.judged.answers = row.at("answers").get<std::vector<std::string>>();
      r.judged.classes = row.value("classes", std::vector<std::string>{});
      r.depth = row.contains("depth") ? row["depth"].get<double>() : no_depth;
      r.tokens = row.value("tokens", std::size_t{0});
      r.seconds = row.value("seconds", 0.0);
      if (row.contains("prefill_seconds") && row["prefill_seconds"].is_number())
        r.prefill_seconds = row["prefill_seconds"].get<double>();
      r.steps = row.value("steps", std::size_t{0});
      r.saved = {row.value("compression", 0.0), row.value("compression_with_bookkeeping", 0.0)};
      rows.push_back(std::move(r));
    } catch (std::exception const&) {
      throw bad_file(path, "line " + std::to_string(rows.size() + 1) + " is not the row of sample " +
                               std::to_string(rows.size()) +
                               ", with prediction and answers; mend it, or move the file away and run lab again");
    }
  }
  return rows;
}

std::vector<double> scores_of(std::vector<prediction_row> const& rows, std::string const& metric_name) {
  if (metric_name.starts_with(command_metric)) {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < rows.size(); ++i) lines.push_back(line_of(i, rows[i]));
    return judged_by(metric_name.substr(command_metric.size()), lines);
  }
  metric const score = find_metric(metric_name, "metrics");
  std::vector<double> scores;
  for (prediction_row const& r : rows) scores.push_back(score(r.judged));
  return scores;
}

ordered metrics_json(std::string const& task, std::vector<prediction_row> const& rows,
                  std::vector<std::string> const& metrics, std::vector<metric_summary> const& scores) {
  ordered all{{"task", task}, {"samples", rows.size()}, {"score", scores.empty() ? ordered() : ordered(scores.front().mean)}};
  for (metric_summary const& s : scores) all["metrics"][s.metric] = {{"mean", s.mean}, {"standard_error", s.error}};
  for (auto const& [depth, score] : score_by_depth(rows, metrics.front()))
    all["by_depth"].push_back({{"depth", depth}, {"score", score}});
  return all;
}

}  // namespace

prediction_row row_of(sample const& s, answered const& a) {
  return {{a.text, s.answers, s.classes}, s.depth, s.prompt.size(), a.seconds, a.saved, a.prefill_seconds, a.steps};
}

void require_metrics(std::vector<std::string> const& metrics, bool commands, std::string const& where) {
  for (std::string const& name : metrics) {
    if (!name.starts_with(command_metric)) {
      find_metric(name, where);
      continue;
    }
    if (&name == &metrics.front())
      throw usage_error(where + " begins with '" + name +
                        "'; the first is the score, give one that is not a command first");
    if (!commands) throw usage_error(where + " has '" + name + "'; commands are run only with --allow-commands");
  }
}

std::vector<metric_summary> summarize(std::vector<prediction_row> const& rows,
                                      std::vector<std::string> const& metrics) {
  std::vector<metric_summary> all;
  auto const n = static_cast<double>(rows.size());
  for (std::string const& name : metrics) {
    double sum = 0, squares = 0;
    std::vector<double> scores = scores_of(rows, name);
    for (double const s : scores) {
      sum += s;
      squares += s * s;
    }
    double const mean = rows.empty() ? 0 : sum / n;
    double const variance = rows.size() < 2 ? 0 : std::max(0.0, squares - n * mean * mean) / (n - 1);
    all.push_back({name, mean, rows.empty() ? 0 : std::sqrt(variance / n), right_or_wrong(name), std::move(scores)});
    if (name != "bleu") continue;
    bleu_counts counts;
    for (prediction_row const& r : rows) counts += count_bleu(r.judged.prediction, r.judged.answers);
    all.push_back({"corpus_bleu", counts.score(false), 0, false});
  }
  return all;
}

std::map<double, double> score_by_depth(std::vector<prediction_row> const& rows, std::string const& metric_name) {
  metric const score = find_metric(metric_name, "metrics");
  std::map<double, std::pair<double, double>> sums;
  for (prediction_row const& r : rows) {
    if (std::isnan(r.depth)) continue;
    sums[r.depth].first += score(r.judged);
    sums[r.depth].second += 1;
  }
  std::map<double, double> means;
  for (auto const& [depth, sum] : sums) means[depth] = sum.first / sum.second;
  return means;
}

held_file::held_file(std::string const& path) : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  int done = file_ < 0 ? -1 : ::flock(file_, LOCK_EX);
  while (done != 0 && file_ >= 0 && errno == EINTR) done = ::flock(file_, LOCK_EX);
  if (done == 0) return;
  std::string const why = std::strerror(errno);
  if (file_ >= 0) ::close(file_);
  throw usage_error("--out: '" + path + "' cannot be locked (" + why + "); give a folder that you may write to");
}

held_file::~held_file() {
  if (file_ >= 0) ::close(file_);
}

result_folder::result_folder(std::string path, std::string const& task, std::vector<std::string> metrics,
                             std::string const& run, std::string const& command)
    : path_(std::move(path)), metrics_(std::move(metrics)) {
  if (path_.empty()) return;
  make_output_folder(path_);
  held_ = std::make_unique<held_file>(path_ + "/predictions.jsonl");
  ordered const wanted = ordered::parse(run);
  if (std::filesystem::exists(path_ + "/run.json")) {
    ordered const there = read_json(path_ + "/run.json").value("run", ordered());
    if (std::string const field = first_difference(there, wanted); !field.empty())
      throw usage_error("--out: '" + path_ + "' holds a run with another " + field +
                        "; give another --out, or remove that folder");
  } else {
    write_json(path_ + "/run.json", {{"command", command}, {"task", task}, {"metrics", metrics_}, {"run", wanted}});
  }
  std::string const file = path_ + "/predictions.jsonl", text = read_all(file);
  std::size_t const whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  if (whole < text.size()) std::filesystem::resize_file(file, whole);
  rows_ = prediction_rows(file, text.substr(0, whole));
}

void result_folder::add(prediction_row row) {
  if (!path_.empty()) {
    std::ofstream file(path_ + "/predictions.jsonl", std::ios::binary | std::ios::app);
    file << line_of(rows_.size(), row) << std::flush;
    if (!file) throw usage_error("--out: '" + path_ + "/predictions.jsonl' cannot be written; rows so far are in it");
  }
  rows_.push_back(std::move(row));
}

void result_folder::finish(session_memory const& memory) const {
  if (path_.empty()) return;
  ordered const run = read_json(path_ + "/run.json");
  write_json(path_ + "/metrics.json", metrics_json(run.value("task", ""), rows_, metrics_, summarize(rows_, metrics_)));
  write_json(path_ + "/memory.json", {{"cache_bytes", memory.cache()},
                                      {"vector_bytes", memory.vectors},
                                      {"bookkeeping_bytes", memory.bookkeeping},
                                      {"workspace_bytes", memory.workspace},
                                      {"slots", memory.slots}});
}

std::vector<scored_folder> score_again(std::string const& path, std::vector<std::string> const& metrics,
                                       bool commands) {
  require_metrics(metrics, commands, "--metrics");
  namespace fs = std::filesystem;
  if (!fs::is_directory(path)) throw usage_error("'" + path + "' is no folder; give the folder that lab --out wrote");
  std::vector<std::string> folders;
  auto const take = [&](fs::path const& folder) {
    if (fs::exists(folder / "predictions.jsonl")) folders.push_back(folder.string());
  };
  take(path);
  for (auto const& entry : fs::recursive_directory_iterator(path))
    if (entry.is_directory()) take(entry.path());
  if (folders.empty())
    throw usage_error("'" + path + "' has no predictions.jsonl in it or below; give the folder that lab --out wrote");
  std::sort(folders.begin(), folders.end());
  std::vector<scored_folder> all;
  for (std::string const& folder : folders) {
    ordered const run = read_json(folder + "/run.json");
    std::string const file = folder + "/predictions.jsonl";
    auto const rows = prediction_rows(file, read_all(file));
    auto const by = metrics.empty() ? run.value("metrics", std::vector<std::string>{}) : metrics;
    if (by.empty()) throw bad_file(folder + "/run.json", "has no metrics; give --metrics");
    require_metrics(by, commands, folder + "/run.json: metrics");
    scored_folder scored{folder, run.value("task", ""), rows.size(), summarize(rows, by)};
    write_json(folder + "/metrics.json", metrics_json(scored.task, rows, by, scored.scores));
    all.push_back(std::move(scored));
  }
  return all;
}

std::string path_part(std::string const& text) {
  std::string safe;
  for (char const c : text) {
    bool const stays = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       std::string_view("._=%+-").find(c) != std::string_view::npos;
    safe += stays ? c : '_';
  }
  return safe;
}

}  // namespace programs
