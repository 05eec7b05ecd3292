// Input: a llama2.c checkpoint. What loads also decodes two tokens.

#include <cstddef>
#include <cstdint>
#include <string>

#include <reference_model/io/llama2c.hpp>

#include "decode_two_tokens.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string bytes(reinterpret_cast<char const*>(data), size);
  try {
    decode_two_tokens(reference_model::llama2c_reader(reference_model::file_source("input", std::move(bytes))).load());
  } catch (reference_model::bad_file const&) {
  }
  return 0;
}
