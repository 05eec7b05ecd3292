#pragma once
// What one task under one policy left: run.json (command and policy), predictions.jsonl (a row a sample), memory.json,
// and metrics.json, which can be made again from the first two.
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <common/session.hpp>
#include <common/tasks/answer.hpp>
#include <common/tasks/task.hpp>

namespace programs {

struct prediction_row {
  judged_text judged;
  double depth = 0;        // NaN: none
  std::size_t tokens = 0;  // of the prompt
  double seconds = 0;
  compression saved;
  double prefill_seconds = std::numeric_limits<double>::quiet_NaN();  // NaN, and no steps: written before they were
  std::size_t steps = 0;                                              // of the answer that were fed
};

prediction_row row_of(sample const& s, answered const& a);

struct metric_summary {
  std::string metric;
  double mean = 0, error = 0;  // standard error of the mean
  bool share = false;          // of what is right: every score is 0 or 1
  std::vector<double> scores{};  // one a row; none of corpus_bleu
};

// Throws usage_error for a metric there is not, for a command unless `commands`, and for one that is the first, the
// score. `where` names what has them.
void require_metrics(std::vector<std::string> const& metrics, bool commands, std::string const& where);

// How predictions do by each metric. `bleu` adds `corpus_bleu`; commands are run.
std::vector<metric_summary> summarize(std::vector<prediction_row> const& rows, std::vector<std::string> const& metrics);

// Mean score by depth, from the smallest on; nothing where samples have none.
std::map<double, double> score_by_depth(std::vector<prediction_row> const& rows, std::string const& metric);

// A file that this process alone holds, until the object goes. Waits for it.
class held_file {
 public:
  held_file() = default;
  explicit held_file(std::string const& path);
  held_file(held_file const&) = delete;
  held_file& operator=(held_file const&) = delete;
  ~held_file();

 private:
  int file_ = -1;
};

class result_folder {
 public:
  // Makes the folder, waits until no other process is at it, and takes up the rows of an interrupted run; half a row is dropped. `run`: what is run, as JSON;
  // it has to be the same again. An empty path: rows are kept in memory only. Throws usage_error or bad_file.
  result_folder(std::string path, std::string const& task, std::vector<std::string> metrics, std::string const& run,
                std::string const& command);

  std::vector<prediction_row> const& rows() const { return rows_; }
  void add(prediction_row row);
  // Writes metrics.json and memory.json.
  void finish(session_memory const& memory) const;

 private:
  std::string path_;
  std::vector<std::string> metrics_;
  std::vector<prediction_row> rows_;
  std::unique_ptr<held_file> held_;
};

// The score of a finished folder.
struct scored_folder {
  std::string path, task;
  std::size_t samples = 0;
  std::vector<metric_summary> scores;
};

// Scores every folder of results at or below `path` again, by its own metrics or by `metrics`, and writes its
// metrics.json. The model is not run. Throws usage_error or bad_file.
std::vector<scored_folder> score_again(std::string const& path, std::vector<std::string> const& metrics, bool commands);

// A name that is safe in a path: letters, digits and ._=%+- stay.
std::string path_part(std::string const& text);

}  // namespace programs
