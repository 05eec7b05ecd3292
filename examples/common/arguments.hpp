#pragma once
// The command line of a program: what it takes, its --help, and what it refuses. CLI11 stays in arguments.cpp.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <common/errors.hpp>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace programs {

// One option of a command_line, which must outlive it.
class option {
 public:
  option required() const;
  option shows_default() const;        // in --help: what its target holds now
  option separated_by_commas() const;  // several values in one argument
  option excludes(option other) const;
  option needs(option other) const;

 private:
  friend class command_line;
  explicit option(CLI::Option& made) : option_(&made) {}

  CLI::Option* option_;
};

struct number_range {
  int least, most;
};

class command_line {
 public:
  explicit command_line(std::string const& description);
  ~command_line();

  // Options write to their targets, which must outlive parse. Whole numbers are digits only, so that -3 and what
  // overflows are refused instead of wrapping. A list takes one value each time it is given; one
  // without dashes, all that stand without a name.
  option add(std::string const& name, std::string& target, std::string const& help);
  option add(std::string const& name, std::vector<std::string>& target, std::string const& help);
  option add(std::string const& name, std::uint32_t& target, std::string const& help);
  option add(std::string const& name, std::uint64_t& target, std::string const& help);
  option add(std::string const& name, std::optional<std::uint64_t>& target, std::string const& help);
  option add(std::string const& name, double& target, std::string const& help);
  option add(std::string const& name, bool& target, std::string const& help);  // a flag, without a value

  // Numbers that --help shows with their range; several are separated by commas.
  option add(std::string const& name, std::uint32_t& target, number_range within, std::string const& help);
  option add(std::string const& name, std::vector<std::uint32_t>& target, number_range within, std::string const& help);

  void help_column(std::size_t column);     // where --help begins its texts
  void example(std::string const& example);  // ends --help

  // A status is returned when the program is done already (--help); what is wrong becomes a usage_error.
  std::optional<int> parse(int argc, char** argv);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace programs
