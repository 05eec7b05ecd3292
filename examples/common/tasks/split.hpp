#pragma once
// Rows of data in two files: one to choose by, one to report.
#include <cstdint>
#include <string>

namespace programs {

struct split_files {
  std::string valid, test;
  std::size_t valid_rows = 0, test_rows = 0;
};

// Writes STEM-valid.jsonl and STEM-test.jsonl into `folder` (""; beside `path`): `valid` rows drawn by the seed, as N
// or P%, and all others; each in the order of the file. Throws usage_error or bad_file.
split_files split_rows(std::string const& path, std::string const& valid, std::uint64_t seed,
                       std::string const& folder);

}  // namespace programs
