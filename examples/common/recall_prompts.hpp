#pragma once
// Prompts with an answer each: pass keys, or of a file.
#include <cstdint>
#include <vector>

#include <common/head_task.hpp>
#include <common/passkey_task.hpp>

namespace programs {

struct recall_set {
  passkey_set set;
  std::vector<std::vector<std::uint32_t>> answers;  // [prompts], the tokens that write each
};

// Those that the options name, see make_head_task. Throws usage_error or bad_file.
recall_set recall_prompts(loaded_model const& m, task_options const& o);

}  // namespace programs
