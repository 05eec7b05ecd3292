#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <kvsift/core/recipe.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace reference_model {

/// What kind of token each of a vocabulary is [vocab]: special are BOS, the ends and what the tokenizer calls so,
/// punctuation is what has no text but white space and ASCII punctuation.
inline std::vector<std::uint8_t> token_kinds(tokenizer const& text) {
  constexpr std::string_view marks = " \t\n\r\v\f!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
  std::vector<std::uint8_t> kinds(text.vocab());
  for (std::uint32_t token = 0; token < text.vocab(); ++token) {
    bool const plain = text.piece(text.bos(), token).find_first_not_of(marks) == std::string_view::npos;
    kvsift::token_kind const kind = text.special(token) ? kvsift::token_kind::special
                                    : plain             ? kvsift::token_kind::punctuation
                                                        : kvsift::token_kind::ordinary;
    kinds[token] = static_cast<std::uint8_t>(kind);
  }
  return kinds;
}

}  // namespace reference_model
