#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <reference_model/model/config.hpp>

namespace reference_model {

/// Text to tokens and back.
class tokenizer {
 public:
  virtual ~tokenizer() = default;

  virtual std::uint32_t vocab() const = 0;

  /// Tokens of the text; BOS first if asked for, and if the tokenizer puts one in front of texts at all. With BOS an empty
  /// text is never without a token. Text must be valid UTF-8 (programs check it, see text/utf8.hpp).
  virtual std::vector<std::uint32_t> encode(std::string_view text, bool with_bos = true) const = 0;

  /// What `token` adds to the text when it follows `before`. Valid as long as the tokenizer. A piece may be part of a
  /// character's bytes; only the pieces together are UTF-8.
  virtual std::string_view piece(std::uint32_t before, std::uint32_t token) const = 0;

  std::uint32_t bos() const { return bos_; }
  /// Whether generation stops at this token: BOS or one of the ends.
  bool ends(std::uint32_t token) const {
    return token == bos_ || std::find(ends_.begin(), ends_.end(), token) != ends_.end();
  }

  /// Whether the token has a meaning of its own instead of text: BOS, the ends, and what the tokenizer's file calls special.
  virtual bool special(std::uint32_t token) const { return ends(token); }

  /// The text of tokens; a BOS at the front adds nothing.
  std::string decode(std::vector<std::uint32_t> const& tokens) const {
    std::string text;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i == 0 && tokens[i] == bos_) continue;
      text += piece(i == 0 ? no_token : tokens[i - 1], tokens[i]);
    }
    return text;
  }

 protected:
  static constexpr std::uint32_t no_token = 0xffffffffu;

  explicit tokenizer(config const& c) : bos_(c.bos), ends_(c.ends) {}

 private:
  std::uint32_t bos_;
  std::vector<std::uint32_t> ends_;
};

/// A byte is a token: token b < 256 is byte b. Tokens from 256 on (BOS, ends) have no text.
class bytes_tokenizer : public tokenizer {
 public:
  /// Throws bad_file if the vocabulary has no room for 256 bytes besides BOS.
  explicit bytes_tokenizer(config const& c) : tokenizer(c), vocab_(c.vocab) {
    if (c.vocab < 257 || c.bos < 256)
      throw bad_file("tokenizer bytes", "vocab is " + std::to_string(c.vocab) + ", BOS " + std::to_string(c.bos) +
                                            "; tokens 0 to 255 are bytes, so at least 257 and BOS from 256 on are needed; "
                                            "give the model's own tokenizer");
    for (std::size_t b = 0; b < 256; ++b) bytes_ += static_cast<char>(static_cast<unsigned char>(b));
  }

  std::uint32_t vocab() const override { return vocab_; }

  std::vector<std::uint32_t> encode(std::string_view text, bool with_bos = true) const override {
    std::vector<std::uint32_t> tokens;
    tokens.reserve(text.size() + 1);
    if (with_bos) tokens.push_back(bos());
    for (char b : text) tokens.push_back(static_cast<unsigned char>(b));
    return tokens;
  }

  std::string_view piece(std::uint32_t, std::uint32_t token) const override {
    return token < 256 ? std::string_view(bytes_).substr(token, 1) : std::string_view();
  }

 private:
  std::uint32_t vocab_;
  std::string bytes_;  // all 256
};

}  // namespace reference_model
