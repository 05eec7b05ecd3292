#include <common/tasks/judge.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>

#include <common/errors.hpp>

namespace programs {

namespace {

// A file that goes with what is in it.
struct temporary_file {
  std::string path = (std::filesystem::temp_directory_path() / "kvsift-rows.XXXXXX").string();
  std::FILE* stream = nullptr;

  temporary_file() {
    int const descriptor = ::mkstemp(path.data());
    stream = descriptor < 0 ? nullptr : ::fdopen(descriptor, "wb");
    if (stream == nullptr)
      throw usage_error("'" + path + "' cannot be written; set TMPDIR to a folder you may write to");
  }
  temporary_file(temporary_file const&) = delete;
  temporary_file& operator=(temporary_file const&) = delete;
  ~temporary_file() {
    std::fclose(stream);
    std::remove(path.c_str());
  }
};

}  // namespace

std::vector<double> judged_by(std::string const& command, std::vector<std::string> const& rows) {
  temporary_file file;
  for (std::string const& row : rows) std::fwrite(row.data(), 1, row.size(), file.stream);
  if (std::fflush(file.stream) != 0 || std::ferror(file.stream) != 0)
    throw usage_error("'" + file.path + "' cannot be written; set TMPDIR to a folder with room");
  auto const wrong = [&](std::string const& what) {
    return usage_error("metrics is 'command:" + command + "'; " + what);
  };
  std::FILE* const out = ::popen(("( " + command + "\n) < '" + file.path + "'").c_str(), "r");
  if (out == nullptr) throw wrong("no process can be started for it");
  std::string text;
  char buffer[4096];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, out)) > 0;) text.append(buffer, n);
  int const status = ::pclose(out);
  if (status != 0)
    throw wrong("it ended with status " +
                std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)) + ", 0 is wanted");
  std::vector<double> scores;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    char* end = nullptr;
    double const score = std::strtod(line.c_str(), &end);
    if (end == line.c_str() || *end != '\0' || !std::isfinite(score))
      throw wrong("line " + std::to_string(scores.size() + 1) + " of what it wrote is '" + line.substr(0, 40) +
                  "', a number is wanted");
    scores.push_back(score);
  }
  if (scores.size() != rows.size())
    throw wrong("it wrote " + std::to_string(scores.size()) + " lines for " + std::to_string(rows.size()) +
                " rows, one each is wanted");
  return scores;
}

}  // namespace programs
