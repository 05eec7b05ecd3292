#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <support/files.hpp>
#include <support/json_lite.hpp>

namespace support {

struct tensor {
  std::vector<std::size_t> shape;
  std::vector<float> numbers;  // row-major
};

/// Every F32 tensor of a safetensors file, by name; `__metadata__` is left out. Little-endian machines.
/// std::runtime_error that starts with `name` if the bytes are no such file.
inline std::map<std::string, tensor> parse_safetensors(std::string_view bytes, std::string const& name) {
  auto const fail = [&name](std::string const& what) { throw std::runtime_error(name + ": " + what); };
  std::uint64_t header_size = 0;
  if (bytes.size() < sizeof header_size) fail("too short for a safetensors file");
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  std::string_view const rest = bytes.substr(sizeof header_size);
  if (header_size > rest.size()) fail("header of " + std::to_string(header_size) + " bytes does not fit");
  json const header = parse_json(rest.substr(0, header_size));
  std::string_view const data = rest.substr(header_size);

  std::map<std::string, tensor> tensors;
  for (auto const& [key, info] : header.fields) {
    if (key == "__metadata__") continue;
    if (info["dtype"].text != "F32") fail("tensor " + key + " is " + info["dtype"].text + ", not F32");
    tensor t;
    std::size_t count = 1;
    for (json const& extent : info["shape"].items) {
      t.shape.push_back(static_cast<std::size_t>(extent.whole()));
      count *= t.shape.back();
    }
    long long const begin = info["data_offsets"][0].whole(), end = info["data_offsets"][1].whole();
    bool const inside = 0 <= begin && begin <= end && static_cast<unsigned long long>(end) <= data.size();
    if (!inside || static_cast<std::size_t>(end - begin) != count * sizeof(float)) {
      fail("tensor " + key + " has offsets that do not fit its shape or the file");
    }
    t.numbers.resize(count);
    if (count) std::memcpy(t.numbers.data(), data.data() + begin, count * sizeof(float));
    tensors.emplace(key, std::move(t));
  }
  return tensors;
}

inline std::map<std::string, tensor> read_safetensors(std::filesystem::path const& path) {
  return parse_safetensors(read_file(path), path.string());
}

/// A safetensors file with these F32 tensors, as bytes.
inline std::string to_safetensors(std::map<std::string, tensor> const& tensors) {
  std::string header = "{", data;
  for (auto const& [key, t] : tensors) {
    if (header.size() > 1) header += ",";
    header += "\"" + key + "\":{\"dtype\":\"F32\",\"shape\":[";
    for (std::size_t i = 0; i < t.shape.size(); ++i) header.append(i ? "," : "").append(std::to_string(t.shape[i]));
    std::size_t const size = t.numbers.size() * sizeof(float);
    header += "],\"data_offsets\":[" + std::to_string(data.size()) + "," + std::to_string(data.size() + size) + "]}";
    data.append(reinterpret_cast<char const*>(t.numbers.data()), size);
  }
  header += "}";
  while (header.size() % 8) header += ' ';
  std::uint64_t const size = header.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes + header + data;
}

}  // namespace support
