#pragma once
// lab boundary: the smallest budget with which a policy loses little of what the full cache is worth at a task.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <common/lab_options.hpp>

namespace programs {

struct boundary_options {
  lab_options lab;
  std::string within = "10%", confidence = "95%", metric;
  std::uint64_t step = 1;  // percent
};
void add_boundary_options(command_line& line, boundary_options& o);

// Prints the boundary of every policy at every task. Throws usage_error or bad_file.
int find_boundaries(boundary_options o);

// Budgets that smallest_passing looks at, at most.
inline std::size_t looks_at_most(std::size_t budgets) {
  std::size_t looks = 1;
  for (std::size_t left = 1; left < budgets; left *= 2) ++looks;
  return looks;
}

// The smallest of the budgets 1 .. `budgets` that passes, by bisection: what passes is taken to pass with more, what
// fails to fail with less. Nothing if the largest fails.
template <class Passes>
std::optional<std::size_t> smallest_passing(std::size_t budgets, Passes passes) {
  if (!passes(budgets)) return std::nullopt;
  std::size_t fails = 0, holds = budgets;
  while (holds - fails > 1) {
    std::size_t const middle = fails + (holds - fails) / 2;
    (passes(middle) ? holds : fails) = middle;
  }
  return holds;
}

}  // namespace programs
