#pragma once
// One line that is rewritten in place on a terminal, and silence everywhere else.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace programs {

// Shows "what 12/40 (30 %), 5 s left" on standard error, at most ten times a second; gone when the object goes.
class progress {
 public:
  progress(std::string what, long long total, bool wanted = true)
      : what_(std::move(what)), total_(total), shown_(wanted && ::isatty(STDERR_FILENO) == 1) {}
  progress(progress const&) = delete;
  progress& operator=(progress const&) = delete;
  ~progress() { clear(); }

  // What is done may turn out to be less, or more, than was thought.
  void expect(long long total) { total_ = total; }
  void at(long long done, std::string const& note = {}) {
    if (!shown_) return;
    auto const now = clock::now();
    if (drawn_ && done < total_ && now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    drawn_ = true;
    double const share = total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : 0;
    double const spent = std::chrono::duration<double>(now - start_).count();
    std::fprintf(stderr, "\r\033[K%s %lld/%lld (%.0f %%)", what_.c_str(), done, total_, 100 * share);
    if (share > 0 && spent > 1) std::fprintf(stderr, ", %.0f s left", spent / share - spent);
    if (!note.empty()) std::fprintf(stderr, "  %s", note.c_str());
    std::fflush(stderr);
  }
  void clear() {
    if (drawn_) std::fputs("\r\033[K", stderr);
    drawn_ = false;
  }

 private:
  using clock = std::chrono::steady_clock;
  std::string what_;
  long long total_;
  bool shown_, drawn_ = false;
  clock::time_point start_ = clock::now(), last_{};
};

}  // namespace programs
