#pragma once
// Our programs, run as a user runs them.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// What a program did.
struct finished {
  int status = -1;  ///< exit status, or 256 + signal
  std::string out, err;
  std::vector<std::size_t> pieces;  ///< bytes of each write to standard output, up to 4096
};

/// Runs a program of this build to its end.
inline finished run_program(std::string const& name, std::vector<std::string> const& arguments) {
  std::string const path = std::string(KVSIFT_PROGRAM_DIR) + "/" + name;
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (std::string const& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  int out[2], err[2];
  // O_DIRECT keeps writes apart: a read returns one of them, however late it comes.
  if (::pipe2(out, O_DIRECT) != 0 || ::pipe(err) != 0) throw std::runtime_error("no pipe");
  pid_t const child = ::fork();
  if (child < 0) throw std::runtime_error("no process");
  if (child == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    for (int const end : {out[0], out[1], err[0], err[1]}) ::close(end);
    ::execv(path.c_str(), argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  finished f;
  pollfd open[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  for (int left = 2; left > 0;) {
    ::poll(open, 2, -1);
    for (int i = 0; i < 2; ++i) {
      if (open[i].fd < 0 || open[i].revents == 0) continue;
      char buffer[65536];
      ssize_t const n = ::read(open[i].fd, buffer, sizeof buffer);
      if (n <= 0) {
        ::close(open[i].fd);
        open[i].fd = -1;
        --left;
        continue;
      }
      (i == 0 ? f.out : f.err).append(buffer, static_cast<std::size_t>(n));
      if (i == 0) f.pieces.push_back(static_cast<std::size_t>(n));
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  f.status = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  return f;
}

/// Starts a program and kills it as soon as enough() says so, asked all the time. Whether it came to its end before; then its status was 0.
template <class Enough>
bool run_program_until(std::string const& name, std::vector<std::string> const& arguments, Enough const& enough) {
  std::string const path = std::string(KVSIFT_PROGRAM_DIR) + "/" + name;
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (std::string const& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  pid_t const child = ::fork();
  if (child < 0) throw std::runtime_error("no process");
  if (child == 0) {
    int const nowhere = ::open("/dev/null", O_WRONLY);
    for (int const end : {STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere, end);
    ::execv(path.c_str(), argv.data());
    ::_exit(127);
  }
  int status = 0;
  for (;;) {
    if (::waitpid(child, &status, WNOHANG) == child) break;
    if (enough()) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      break;
    }
    ::usleep(200);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) throw std::runtime_error(name + " has failed");
  return WIFEXITED(status);
}

/// A folder that goes with everything in it.
class temporary_folder {
 public:
  temporary_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "kvsift-programs.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder in " + name);
    path_ = name;
  }
  temporary_folder(temporary_folder const&) = delete;
  temporary_folder& operator=(temporary_folder const&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(std::string const& name) const { return path_ / name; }
  std::string string() const { return path_.string(); }
  std::size_t files() const {
    std::size_t n = 0;
    for ([[maybe_unused]] auto const& entry : std::filesystem::recursive_directory_iterator(path_)) n += entry.is_regular_file() ? 1u : 0u;
    return n;
  }

 private:
  std::filesystem::path path_;
};
