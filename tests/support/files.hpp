#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace support {

/// The bytes of a file; std::runtime_error that names it if it cannot be read.
inline std::string read_file(std::filesystem::path const& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path.string() + ": cannot be read");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// tests/data of this checkout: beside this header, or where the build says (KVSIFT_TEST_DATA, a quoted path).
inline std::filesystem::path test_data() {
#ifdef KVSIFT_TEST_DATA
  return KVSIFT_TEST_DATA;
#else
  return std::filesystem::path(__FILE__).parent_path().parent_path() / "data";
#endif
}

}  // namespace support
