#pragma once
// The metrics by name. Each says of a prediction how good it is, in [0, 1].
#include <string>
#include <vector>

namespace programs {

struct judged_text {
  std::string prediction;
  std::vector<std::string> answers;    // any of them is right, unless the metric asks for all
  std::vector<std::string> classes{};  // those there are, for class_match
};

using metric = double (*)(judged_text const&);

// Throws usage_error naming `where` and the metrics there are.
metric find_metric(std::string const& name, std::string const& where);

// Whether it says right or wrong, 1 or 0, and nothing between. False of a metric there is not.
bool right_or_wrong(std::string const& name);

std::vector<std::string> metric_names();

}  // namespace programs
