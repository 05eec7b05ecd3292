#pragma once
// A cache that was built once and is answered from many times: its file, and what it has to fit.
#include <cstdint>
#include <string>

#include <common/session.hpp>
#include <common/shared_options.hpp>

namespace programs {

// A cache with all that is needed to go on with it.
struct saved_cache {
  session::state state;
  policy_request asked;     // the policy as it was asked for, its budget in slots
  std::string policy_name;  // as tables show it
  std::string storage = "fp32";
  std::uint32_t first_piece = 1;  // tokens of the document that were fed at once
  bool in_cache = false;
  std::uint64_t model = 0, tokenizer = 0;  // fingerprints
  std::string document;                    // its name
};

// A number that changes with any weight, shape or constant of the model; with any piece of the vocabulary.
std::uint64_t fingerprint(reference_model::model const& m);
std::uint64_t fingerprint(reference_model::tokenizer const& text);

// Writes the file (safetensors) whole or not at all. Throws bad_file.
void write_cache(std::string const& path, saved_cache const& cache);

// Throws bad_file for what is no cache, was written by another version, or is damaged. Whether it fits a session is
// restore's to say.
saved_cache read_cache(std::string const& path);
saved_cache read_cache(std::string const& name, std::string bytes);  // of a file in memory

}  // namespace programs
