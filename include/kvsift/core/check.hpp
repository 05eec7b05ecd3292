#pragma once

#include <stdexcept>
#include <string>

namespace kvsift {

/// Thrown for an argument that cannot be served. what() is one line: which argument, its value, the limit, the remedy.
/// Nothing has been changed when it is thrown.
class bad_argument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Throws bad_argument "<argument> is <value>; <limit and remedy>" unless `holds`. Host only.
template <class Value>
void require(bool holds, char const* argument, Value value, char const* limit) {
  if (!holds) throw bad_argument(std::string(argument) + " is " + std::to_string(value) + "; " + limit);
}
/// The same where the texts have numbers in them: argument() and limit() are called if it is to be said.
template <class Value, class Argument, class Limit>
void require(bool holds, Argument const& argument, Value value, Limit const& limit) {
  if (!holds) throw bad_argument(argument() + " is " + std::to_string(value) + "; " + limit());
}

}  // namespace kvsift
