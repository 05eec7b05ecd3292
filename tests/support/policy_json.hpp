#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <oracle/description.hpp>
#include <support/json_lite.hpp>

namespace support {

inline bool oracle_knows(std::string const& policy) {
  std::vector<std::string> const names = oracle::policy_names();
  return std::find(names.begin(), names.end(), policy) != names.end();
}

/// The description a policy object stands for, with the defaults of the policy; checks nothing.
inline oracle::description describe(json const& policy) {
  oracle::description d;
  d.policy = policy["policy"].text;
  d.budget = policy.number_or("budget", 0);
  d.sinks = policy.number_or("sinks", d.policy == "streaming_llm" ? 4 : 0);
  d.recent = policy.number_or("recent", 0);
  d.excluded = policy.number_or("excluded", 0);
  d.newest = policy.number_or("newest", 10);
  d.history = policy.number_or("history", 1);
  d.threshold = policy.has("threshold") && policy["threshold"].flag;
  d.shared = policy.has("shared") && policy["shared"].flag;
  d.window = policy.number_or("window", 0);
  d.kernel = policy.number_or("kernel", 1);
  if (policy.has("pool") && policy["pool"].text == "avg") d.pool = oracle::pool::avg;
  if (policy.has("floor")) d.floor = policy["floor"].value;
  if (policy.has("score") && policy["score"].text == "accumulated") d.score = oracle::score::accumulated;
  d.stride = policy.number_or("stride", 1);
  if (d.policy == "strided" && !policy.has("sinks")) d.sinks = 4;
  d.reference = policy.has("profile") && policy["profile"].text == "reference";
  d.by_deviation = policy.has("scope") && policy["scope"].text == "deviation";
  d.by_query = policy.has("compare") && policy["compare"].text == "query";
  return d;
}

}  // namespace support
