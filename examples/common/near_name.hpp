#pragma once

#include <string>
#include <utility>

#include <common/metrics/edit_similarity.hpp>

namespace programs {

/// The name that one who typed `asked` may have meant.
class near_name {
 public:
  explicit near_name(std::string asked) : asked_(std::move(asked)) {}

  void look(std::string const& name) {
    double const alike = edit_similarity(asked_, name);
    if (alike > most_) best_ = name, most_ = alike;
  }
  /// "did you mean roco? Or ", or nothing where no name is near.
  std::string question() const { return best_.empty() ? "" : "did you mean " + best_ + "? Or "; }

 private:
  std::string asked_;
  std::string best_{};
  double most_ = 0.6;  ///< of insertions and deletions, see edit_similarity
};

}  // namespace programs
