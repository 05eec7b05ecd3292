#pragma once
// Results of many runs, one line each, kept as they come: a program that was interrupted goes on where it stopped, and
// several processes share one file.
#include <sys/types.h>

#include <cstddef>
#include <map>
#include <optional>
#include <string>

namespace programs {

// A file of JSON lines {"run": what was run, "result": what came out}. A run that stands there is not run again. What
// an interruption left of a last line is dropped. Whoever runs one claims it first; claims end with their process,
// however it ends. One thread of a process.
class result_log {
 public:
  // An empty path: a file without a name, for this process and its children. Throws usage_error naming --out and the
  // path, bad_file for a line that is no result.
  explicit result_log(std::string path);
  ~result_log();
  result_log(result_log const&) = delete;
  result_log& operator=(result_log const&) = delete;

  // The result of a run, as JSON text, if it is there; what others wrote is read first. `run`: a JSON object.
  std::optional<std::string> find(std::string const& run);
  // Whether the run is this process's to do now: it is not done, and nobody is at it. `wait`: until nobody is.
  bool claim(std::string const& run, bool wait = false);
  // Of a claimed run; the claim ends.
  void add(std::string const& run, std::string const& result);

  // A number of a result's text.
  static double number(std::string const& result, std::string const& field);

 private:
  bool lock(off_t at, short kind, bool wait) const;
  void read_on();
  void drop_half_line() const;
  [[noreturn]] void fail(std::string const& rest) const;

  std::string path_;
  int file_ = -1;
  off_t read_ = 0;  // lines before it are known
  std::size_t lines_ = 0;
  std::map<std::string, std::string> done_;
};

}  // namespace programs
