#pragma once
// Processes that share a list of things to do: this one, and children that are forked from it.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include <common/errors.hpp>

namespace programs {

// What all of them see.
struct shared_counts {
  std::atomic<long long> done{0};
  std::atomic<bool> stop{false};  // one has failed; the others end when they have done what they are at
};
static_assert(std::atomic<long long>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

// Calls work(counts, first) in `processes` processes, in one of them with first = true, and returns when all are done.
// That one is this process; where there are `devices`, GPUs by CUDA's numbers, each process is a child that sees one of
// them alone, for who has looked for a GPU cannot be forked. The first error of any of them is thrown as usage_error.
// Children end when this process is killed. Forks: no threads may run.
template <class Work>
void share_work(std::size_t processes, Work const& work, std::vector<std::uint32_t> const& devices = {}) {
  bool const joins = devices.empty();
  if (!joins) processes = devices.size();
  void* const place = ::mmap(nullptr, sizeof(shared_counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int said[2];
  if (place == MAP_FAILED || ::pipe(said) != 0)
    throw usage_error(std::string("--jobs: no process can be started (") + std::strerror(errno) + "); give --jobs 1");
  auto& counts = *new (place) shared_counts;
  pid_t const parent = ::getpid();
  std::vector<pid_t> children;
  for (std::size_t i = joins ? 1 : 0; i < processes; ++i) {
    pid_t const child = ::fork();
    if (child < 0 && i > 0) break;  // fewer do
    if (child < 0) {
      ::close(said[0]), ::close(said[1]);
      throw usage_error(std::string("--devices: no process can be started (") + std::strerror(errno) + "); leave it out");
    }
    if (child > 0) {
      children.push_back(child);
      continue;
    }
#if defined(__linux__)
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
#endif
    if (!joins) ::setenv("CUDA_VISIBLE_DEVICES", std::to_string(devices[i]).c_str(), 1);
    int status = 0;
    try {
      work(counts, i == 0);
    } catch (std::exception const& wrong) {
      counts.stop = true;
      std::string const line = std::string(wrong.what()).substr(0, 4000) + "\n";  // one write, whole in the pipe
      status = ::write(said[1], line.data(), line.size()) > 0 ? 2 : 3;
    }
    ::_exit(status);
  }
  ::close(said[1]);
  std::exception_ptr wrong;
  try {
    if (joins) work(counts, true);
  } catch (...) {
    wrong = std::current_exception();
    counts.stop = true;
  }
  int failed = 0;  // status of a child that ended by itself with another than 0
  for (pid_t const child : children) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) failed = WEXITSTATUS(status);
  }
  std::string message;
  char piece[4096];
  for (ssize_t n = 0; (n = ::read(said[0], piece, sizeof piece)) > 0;) message.append(piece, static_cast<std::size_t>(n));
  ::close(said[0]);
  ::munmap(place, sizeof(shared_counts));
  if (wrong) std::rethrow_exception(wrong);
  if (!message.empty()) throw usage_error(message.substr(0, message.find('\n')));
  if (failed != 0)
    throw usage_error((joins ? "--jobs: a process ended with status " : "--devices: a process ended with status ") + std::to_string(failed) +
                      " and said nothing; " + (joins ? "give --jobs 1" : "leave it out"));
}

}  // namespace programs
