// A group of 128 threads on two cores waits for the cores to wake one another most of the time. On one core it takes as long, leaves the other to
// other tests, and ThreadSanitizer sees what it sees: whether a barrier stands between two accesses, not whether they met.
#include <sched.h>

namespace {

[[maybe_unused]] bool const on_one_core = [] {
  int const core = sched_getcpu();
  cpu_set_t set;
  CPU_ZERO(&set);
  if (core >= 0) CPU_SET(static_cast<unsigned>(core), &set);
  return core >= 0 && sched_setaffinity(0, sizeof set, &set) == 0;
}();

}  // namespace
