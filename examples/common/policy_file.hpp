#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <common/policy_json.hpp>

namespace programs {

/// The JSON object in a policy file. Throws bad_file.
inline json load_policy_object(std::string const& path) {
  std::error_code error;
  auto const size = std::filesystem::file_size(path, error);
  if (error) throw bad_file(path, "cannot be read: " + error.message() + "; name a policy file or a policy");
  if (size > 1'000'000) throw bad_file(path, "has " + std::to_string(size) + " bytes; a policy has at most 1000000");
  std::ifstream in(path, std::ios::binary);
  std::string const text{std::istreambuf_iterator<char>(in), {}};
  if (!in.good() && !in.eof()) throw bad_file(path, "cannot be read");
  return reference_model::parse_object(path, text);
}

}  // namespace programs
