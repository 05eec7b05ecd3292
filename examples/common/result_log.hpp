#pragma once
// Results of many runs, one line each, kept as they come: a program that was interrupted goes on where it stopped.
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace programs {

// A file of JSON lines {"run": what was run, "result": what came out}. A run that stands there is not run again. What
// an interruption left of a last line is dropped. Threads may add at once.
class result_log {
 public:
  // An empty path: kept in memory only. Throws usage_error naming --out and the path, bad_file for a line that is no
  // result.
  explicit result_log(std::string path);

  // The result of a run, as JSON text, if it is there. `run`: a JSON object.
  std::optional<std::string> find(std::string const& run) const;
  void add(std::string const& run, std::string const& result);

  // A number of a result's text.
  static double number(std::string const& result, std::string const& field);

 private:
  struct closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, closer> file_;
  std::map<std::string, std::string> done_;
  mutable std::mutex lock_;
};

}  // namespace programs
