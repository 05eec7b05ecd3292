#pragma once
// Arrays of doubles as numpy reads them: .npy format 1.0, C order, nothing pickled.
#include <cstddef>
#include <string>
#include <vector>

namespace programs {

// The bytes of a file. values: as many as the shape asks for.
inline std::string npy_text(std::vector<std::size_t> const& shape, std::vector<double> const& values) {
  std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (";
  for (std::size_t const n : shape) header += std::to_string(n) + ", ";
  header.erase(header.size() - (shape.size() > 1 ? 2 : 1));
  header += "), }";
  header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');  // 10 bytes before it, the line end behind
  header += '\n';
  std::string text = "\x93NUMPY\x01";
  text += '\0';
  text += static_cast<char>(header.size() % 256);
  text += static_cast<char>(header.size() / 256);
  text += header;
  return text.append(reinterpret_cast<char const*>(values.data()), values.size() * sizeof(double));
}

}  // namespace programs
