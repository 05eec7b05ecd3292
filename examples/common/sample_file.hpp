#pragma once
// Partial results of Shapley values in a folder that processes and machines share: a file a process, a line a sample,
// written as they come. A process that is killed loses the sample it was at, and no other.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <common/sliced_shapley.hpp>

namespace programs {

struct stored_samples {
  std::string game;  // JSON that says what was played: samples of another game are refused
  sample_set samples;
  std::size_t files = 0;
};

// Reads every file samples*.jsonl of the folders. game: what they must be of; "": of whatever the first one is. What an
// interruption left of a last line does not count. Throws bad_file, naming the file, for one that is damaged or of
// another game, and usage_error for a folder that is none.
stored_samples read_samples(std::vector<std::string> const& folders, std::string const& game);

// The text of a file with these samples, in the order of their keys.
std::string samples_text(std::string const& game, sample_set const& samples);

// The file of a process, to which samples are added. It is locked: no other process may write it meanwhile.
class sample_file {
 public:
  // name: of a file samples*.jsonl in the folder. Cuts off what an interruption left. Throws usage_error naming --out.
  sample_file(std::string const& folder, std::string const& name, std::string game);
  void add(sample_key const& key, sample_value const& value);  // throws usage_error when the disk is full

 private:
  struct closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void write(std::string const& line);

  std::string path_, game_;
  std::unique_ptr<std::FILE, closer> file_;
};

}  // namespace programs
