#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <reference_model/model/config.hpp>
#include <reference_model/text/added_tokens.hpp>
#include <reference_model/text/byte_alphabet.hpp>
#include <reference_model/text/pair_merges.hpp>
#include <reference_model/text/text_stages.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace reference_model {

/// Two tokens that become one. Their place in the list is their rank: the lower, the earlier they are merged.
struct token_merge {
  std::uint32_t left, right, merged;
};

/// What a byte-pair tokenizer is made of, checked by those who read its file.
struct bpe_parts {
  std::vector<std::optional<std::string>> tokens;  ///< [id], as the file has them; ids may be missing
  std::vector<token_merge> merges;
  std::vector<added_token> added;
  bool byte_level = false;     ///< symbols are bytes, and tokens are written in byte_alphabet; else they are characters
  bool byte_fallback = false;  ///< a character without a token becomes those of its bytes, <0x00> to <0xFF>
  bool ignore_merges = false;  ///< a piece that is a token becomes it at once
  bool fuse_unknown = false;   ///< unknown characters side by side are one unknown token
  std::optional<std::uint32_t> unknown;
  std::vector<normalizer> normalizers;
  std::vector<pre_tokenizer> pre_tokenizers;
  std::vector<std::uint32_t> front;                               ///< tokens in front of a text: BOS, or none
  std::vector<std::pair<std::string, std::string>> written_with;  ///< what is replaced where tokens become text
  std::size_t front_spaces = 0;                                   ///< spaces that a text loses at its front
};

/// Byte-pair merges over bytes (GPT-2, Llama 3, Qwen) or over characters that fall back to bytes (Llama 2, Mistral), in
/// the order of Hugging Face's tokenizers: added tokens are cut out, what lies between is normalised, split into
/// pieces, and each piece is merged by itself.
///
/// Any bytes are encoded. One that is not part of valid UTF-8 counts as U+FFFD where text is split and keeps its value
/// where it is encoded. A symbol without a token becomes the unknown token, or is left out if there is none; where
/// every byte has a token, as in all models above, none is. Cost: n log(longest piece) for n bytes.
class bpe_tokenizer : public tokenizer {
 public:
  bpe_tokenizer(bpe_parts parts, config const& c)
      : tokenizer(with_bos_of(c, parts)),
        vocab_(c.vocab),
        parts_(std::move(parts)),
        written_(c.vocab),
        is_special_(c.vocab) {
    bytes_.fill(no_token);
    byte_alphabet const alphabet;
    for (std::uint32_t id = 0; id < parts_.tokens.size(); ++id) {
      if (!parts_.tokens[id]) continue;
      std::string const& token = *parts_.tokens[id];
      if (parts_.byte_level) {
        std::optional<std::string> const bytes = alphabet.bytes_of(token);
        if (bytes && bytes->size() == 1) bytes_[static_cast<unsigned char>(bytes->front())] = id;
        if (bytes) tokens_.emplace(*bytes, id);
        written_[id] = bytes.value_or(token);
      } else {
        tokens_.emplace(token, id);
        std::optional<char> const byte = parts_.byte_fallback ? byte_named(token) : std::nullopt;
        if (byte) bytes_[static_cast<unsigned char>(*byte)] = id;
        written_[id] = byte ? std::string(1, *byte) : written(token);
      }
    }
    for (std::size_t rank = 0; rank < parts_.merges.size(); ++rank) {
      token_merge const& m = parts_.merges[rank];
      merges_[pair_of(m.left, m.right)] = {static_cast<std::uint32_t>(rank), m.merged};
    }
    for (added_token token : parts_.added) {
      written_[token.id] = token.content;
      is_special_[token.id] = token.special;
      if (token.in_normalized) token.content = normalized(token.content);
      (token.in_normalized ? in_normalized_ : in_text_).add(token);
    }
    // What the tables hold now.
    parts_.tokens.clear();
    parts_.merges.clear();
  }

  std::uint32_t vocab() const override { return vocab_; }

  std::vector<std::uint32_t> encode(std::string_view text, bool with_bos = true) const override {
    encoding e;
    if (with_bos) e.out = parts_.front;
    if (with_bos && text.empty() && e.out.empty()) e.out.push_back(bos());
    auto const token_found = [&](added_token const& token) { e.out.push_back(token.id); };
    in_text_.cut(
        text,
        [&](std::size_t begin, std::size_t end) {
          std::string const part = normalized(std::string(text.substr(begin, end - begin)));
          in_normalized_.cut(
              part,
              [&](std::size_t from, std::size_t to) {
                encode_part({part.substr(from, to - from), begin == 0 && from == 0}, e);
              },
              token_found);
        },
        token_found);
    return std::move(e.out);
  }

  /// Spaces that the tokenizer puts in front of a text go with the BOS before them.
  std::string_view piece(std::uint32_t before, std::uint32_t token) const override {
    if (token >= written_.size()) return {};
    std::string_view text = written_[token];
    if (before == bos() && !is_special_[token])
      for (std::size_t i = 0; i < parts_.front_spaces && text.starts_with(' '); ++i) text.remove_prefix(1);
    return text;
  }

  bool special(std::uint32_t token) const override {
    return ends(token) || (token < is_special_.size() && is_special_[token]);
  }

 private:
  using merger = pair_merges<std::uint32_t>;
  struct by_text {  // looks up views without a string of their own
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct encoding {  // tokens so far, and memory that pieces share
    std::vector<std::uint32_t> out;
    std::vector<text_piece> pieces, cut;
    std::vector<std::uint32_t> symbols;
    merger merges;
    std::unordered_map<std::string, std::vector<std::uint32_t>, by_text, std::equal_to<>> known;
  };
  static constexpr std::size_t longest_known = 32, most_known = 1u << 16;

  static config with_bos_of(config c, bpe_parts const& parts) {
    if (!parts.front.empty()) c.bos = parts.front.front();
    return c;
  }
  static std::uint64_t pair_of(std::uint32_t left, std::uint32_t right) { return std::uint64_t{left} << 32 | right; }

  static std::optional<char> byte_named(std::string_view token) {
    auto const digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
    int const high = digit(token[3]), low = digit(token[4]);
    if (high < 0 || low < 0) return std::nullopt;
    return static_cast<char>(static_cast<unsigned char>(high * 16 + low));
  }

  std::string written(std::string text) const {
    for (auto const& [from, to] : parts_.written_with) text = replaced(text, from, to);
    return text;
  }
  std::string normalized(std::string text) const {
    for (normalizer const& stage : parts_.normalizers) text = stage(text);
    return text;
  }

  void encode_part(text_piece part, encoding& e) const {
    e.pieces.clear();
    e.pieces.push_back(std::move(part));
    for (pre_tokenizer const& stage : parts_.pre_tokenizers) {
      e.cut.clear();
      for (text_piece const& piece : e.pieces) stage(piece, e.cut);
      e.pieces.swap(e.cut);
    }
    for (text_piece const& piece : e.pieces) encode_piece(piece.text, e);
  }

  void encode_piece(std::string_view piece, encoding& e) const {
    if (piece.empty()) return;
    bool const short_one = piece.size() <= longest_known;
    if (short_one)
      if (auto const known = e.known.find(piece); known != e.known.end()) {
        e.out.insert(e.out.end(), known->second.begin(), known->second.end());
        return;
      }
    e.symbols.clear();
    if (auto const whole = parts_.ignore_merges ? tokens_.find(piece) : tokens_.end(); whole != tokens_.end()) {
      e.symbols.push_back(whole->second);
    } else {
      take_symbols(piece, e.symbols);
      e.merges.run(e.symbols, [this](std::uint32_t left, std::uint32_t right) -> merger::outcome {
        auto const found = merges_.find(pair_of(left, right));
        return found == merges_.end() ? merger::outcome{} : found->second;
      });
      std::erase(e.symbols, merger::gone);
    }
    e.out.insert(e.out.end(), e.symbols.begin(), e.symbols.end());
    if (short_one && e.known.size() < most_known) e.known.emplace(piece, e.symbols);
  }

  void take_symbols(std::string_view piece, std::vector<std::uint32_t>& symbols) const {
    bool follows_unknown = false;
    auto const take = [&](std::uint32_t token) {
      symbols.push_back(token);
      follows_unknown = false;
    };
    for (std::size_t at = 0; at < piece.size();) {
      std::size_t const length = parts_.byte_level ? 1 : character_at(piece, at).bytes;
      std::string_view const symbol = piece.substr(at, length);
      at += length;
      auto const found = parts_.byte_level ? tokens_.end() : tokens_.find(symbol);
      auto const byte_token = [&](char b) { return bytes_[static_cast<unsigned char>(b)]; };
      if (parts_.byte_level && byte_token(symbol[0]) != no_token) {
        take(byte_token(symbol[0]));
      } else if (found != tokens_.end()) {
        take(found->second);
      } else if (parts_.byte_fallback) {
        for (char const b : symbol) take(byte_token(b));
      } else if (parts_.unknown && !(follows_unknown && parts_.fuse_unknown)) {
        take(*parts_.unknown);
        follows_unknown = true;
      }
    }
  }

  std::uint32_t vocab_;
  bpe_parts parts_;
  std::vector<std::string> written_;  // [vocab], what they write
  std::vector<bool> is_special_;      // [vocab]
  std::array<std::uint32_t, 256> bytes_{};
  std::unordered_map<std::string, std::uint32_t, by_text, std::equal_to<>> tokens_;
  std::unordered_map<std::uint64_t, merger::outcome> merges_;
  added_tokens in_text_, in_normalized_;
};

}  // namespace reference_model
