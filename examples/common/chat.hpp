#pragma once
// How instruction-tuned models expect one turn of a conversation to be written.
#include <string>

#include <common/errors.hpp>

namespace programs {

// What a user said, ready for the model's answer; BOS is the tokenizer's business. `style`: plain, llama2, llama3, chatml or vicuna.
// The words in angle brackets become their special tokens where the tokenizer has them.
inline std::string as_chat(std::string const& style, std::string const& said) {
  if (style == "plain") return said;
  if (style == "llama2") return "[INST] " + said + " [/INST]";
  if (style == "llama3")
    return "<|start_header_id|>user<|end_header_id|>\n\n" + said + "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n";
  if (style == "chatml") return "<|im_start|>user\n" + said + "<|im_end|>\n<|im_start|>assistant\n";
  if (style == "vicuna") return "USER: " + said + "\n\nASSISTANT: ";
  throw usage_error("--chat is '" + style + "'; give plain, llama2, llama3, chatml or vicuna");
}

}  // namespace programs
