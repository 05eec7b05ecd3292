// Input: two bytes that give the length of a config.json, the config.json, then a safetensors file. Each is read by
// itself; what loads together also decodes two tokens.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <reference_model/io/hugging_face.hpp>

#include "decode_two_tokens.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace reference_model;
  if (size < 2) return 0;
  std::string_view const rest(reinterpret_cast<char const*>(data) + 2, size - 2);
  std::size_t const length = std::min<std::size_t>(data[0] + 256u * data[1], rest.size());
  std::optional<config> c;
  try {
    c = hugging_face_config("config.json", rest.substr(0, length));
  } catch (bad_file const&) {
  }
  try {
    weight_files files(file_source("model.safetensors", std::string(rest.substr(length))));
    if (c) decode_two_tokens(take_weights(*c, files));
  } catch (bad_file const&) {
  }
  return 0;
}
