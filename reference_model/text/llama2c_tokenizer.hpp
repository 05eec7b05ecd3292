#pragma once

#include <bitset>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/file_source.hpp>
#include <reference_model/text/pair_merges.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace reference_model {

/// llama2.c's tokenizer.bin: int32 longest piece, then for each token a float score, an int32 length and its bytes.
/// Encodes by byte-pair merges, the highest score first and of equal scores the leftmost, after a dummy space.
/// A character without a token becomes its bytes' tokens 3 .. 258. Throws bad_file.
class llama2c_tokenizer : public tokenizer {
 public:
  /// The file must hold exactly the model's vocabulary.
  llama2c_tokenizer(file_source file, config const& c) : tokenizer(c) {
    if (file.size() > most_bytes)
      throw bad_file(file.name(), "is " + std::to_string(file.size()) + " bytes; at most " +
                                      std::to_string(most_bytes) + " are read; is it a tokenizer.bin?");
    std::string bytes(static_cast<std::size_t>(file.size()), '\0');
    file.read(0, bytes.data(), bytes.size());
    read_pieces(file.name(), bytes, c.vocab);
    for (std::uint32_t i = 0; i < pieces_.size(); ++i) {
      std::string const& piece = pieces_[i];
      tokens_.emplace(piece, i);  // of equal pieces the first
      written_.push_back(byte_of(piece));
      for (std::size_t j = 1; j < piece.size(); ++j) neighbours_.set(pair_of(piece[j - 1], piece[j]));
    }
    for (std::uint32_t b = 0; b < 256; ++b)
      if (pieces_[first_byte + b].size() != 6 || written_[first_byte + b] != std::string(1, static_cast<char>(b)))
        throw bad_file(file.name(),
                       "token " + std::to_string(first_byte + b) + " is '" + pieces_[first_byte + b] +
                           "'; tokens 3 to 258 are the bytes <0x00> to <0xFF>; export the tokenizer again");
  }

  std::uint32_t vocab() const override { return static_cast<std::uint32_t>(pieces_.size()); }

  std::vector<std::uint32_t> encode(std::string_view text, bool with_bos = true) const override {
    std::vector<std::uint32_t> symbols = characters(text);
    merge(symbols);
    if (with_bos) symbols.insert(symbols.begin(), bos());
    return symbols;
  }

  std::string_view piece(std::uint32_t before, std::uint32_t token) const override {
    if (token >= written_.size()) return {};
    std::string_view text = written_[token];
    // The dummy space that encode put in front.
    if (before == bos() && !text.empty() && text.front() == ' ' && pieces_[token] == text) text.remove_prefix(1);
    return text;
  }

 private:
  static constexpr std::uint32_t first_byte = 3;
  static constexpr std::uint64_t most_bytes = std::uint64_t{64} << 20;

  void read_pieces(std::string const& file, std::string_view bytes, std::uint32_t vocab) {
    auto const number_at = [&](std::size_t at, auto& number) {
      if (at + 4 > bytes.size())
        throw bad_file(file, "ends at byte " + std::to_string(bytes.size()) + ", within token " +
                                 std::to_string(pieces_.size()) + "; it is truncated, fetch it again");
      std::memcpy(&number, bytes.data() + at, 4);
    };
    std::int32_t longest = 0;
    number_at(0, longest);
    if (longest < 1 || longest > 1 << 16)
      throw bad_file(
          file, "longest piece is " + std::to_string(longest) + "; 1 to 65536 is possible; is it a tokenizer.bin?");
    longest_ = static_cast<std::size_t>(longest);
    for (std::size_t at = 4; at < bytes.size();) {
      std::string const which = "token " + std::to_string(pieces_.size());
      if (pieces_.size() == vocab)
        throw bad_file(file, "holds more than the " + std::to_string(vocab) +
                                 " tokens of the model's vocabulary; it belongs to another model");
      float score = 0;
      std::int32_t length = 0;
      number_at(at, score);
      number_at(at + 4, length);
      if (length < 0 || length > longest)
        throw bad_file(file, which + " has length " + std::to_string(length) + "; at most " + std::to_string(longest) +
                                 " is promised; the file is damaged, fetch it again");
      if (!std::isfinite(score))
        throw bad_file(
            file, which + " has a score that is not finite; it orders merges; the file is damaged, fetch it again");
      at += 8;
      if (static_cast<std::size_t>(length) > bytes.size() - at)
        throw bad_file(file, "ends at byte " + std::to_string(bytes.size()) + ", within " + which +
                                 "; it is truncated, fetch it again");
      scores_.push_back(score);
      pieces_.emplace_back(bytes.substr(at, static_cast<std::size_t>(length)));
      at += static_cast<std::size_t>(length);
    }
    if (pieces_.size() != vocab)
      throw bad_file(file, "holds " + std::to_string(pieces_.size()) + " tokens; the model's vocabulary has " +
                               std::to_string(vocab) + "; it is truncated or belongs to another model");
    if (pieces_.size() < first_byte + 256)
      throw bad_file(file,
                     "holds " + std::to_string(pieces_.size()) + " tokens; at least 259 are needed, for the bytes");
  }

  static std::size_t pair_of(char a, char b) {
    return static_cast<std::size_t>(static_cast<unsigned char>(a)) * 256 + static_cast<unsigned char>(b);
  }

  // A token called <0x41> writes the byte 0x41.
  static std::string byte_of(std::string const& piece) {
    auto const digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
    if (piece.size() != 6 || piece.compare(0, 3, "<0x") != 0 || piece[5] != '>') return piece;
    int const high = digit(piece[3]), low = digit(piece[4]);
    if (high < 0 || low < 0) return piece;
    return std::string(1, static_cast<char>(static_cast<unsigned char>(high * 16 + low)));
  }

  std::uint32_t find(std::string const& text) const {
    auto const found = tokens_.find(text);
    return found == tokens_.end() ? no_token : found->second;
  }

  // One token a character (lead byte and up to three continuation bytes), or its bytes.
  std::vector<std::uint32_t> characters(std::string_view text) const {
    std::vector<std::uint32_t> symbols;
    symbols.reserve(text.size() + 2);
    if (!text.empty() && find(" ") != no_token) symbols.push_back(find(" "));
    for (std::size_t i = 0; i < text.size();) {
      std::size_t end = i + 1;
      while (end < text.size() && end - i < 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
      std::string const character(text.substr(i, end - i));
      if (std::uint32_t const token = find(character); token != no_token) {
        symbols.push_back(token);
      } else {
        for (char b : character) symbols.push_back(first_byte + static_cast<unsigned char>(b));
      }
      i = end;
    }
    return symbols;
  }

  /// Merges neighbours until no pair is a token: the highest score first, of equal scores the leftmost. What no piece
  /// joins is merged apart, so that the queue stays short. Cost: n log(longest such run) for n symbols.
  void merge(std::vector<std::uint32_t>& symbols) const {
    pair_merges<float> merges;
    std::string both;
    auto const outcome_of = [&](std::uint32_t left, std::uint32_t right) -> pair_merges<float>::outcome {
      std::string const& a = pieces_[left];
      std::string const& b = pieces_[right];
      if (a.size() + b.size() > longest_) return {};
      both.assign(a).append(b);
      std::uint32_t const token = find(both);
      if (token == no_token) return {};
      return {-scores_[token], token};
    };
    std::size_t kept = 0;
    for (std::size_t first = 0, end = 0; first < symbols.size(); first = end) {
      for (end = first + 1; end < symbols.size(); ++end) {
        std::string const& a = pieces_[symbols[end - 1]];
        std::string const& b = pieces_[symbols[end]];
        if (!a.empty() && !b.empty() && !neighbours_.test(pair_of(a.back(), b.front()))) break;
      }
      merges.run({symbols.data() + first, end - first}, outcome_of);
      for (std::size_t i = first; i < end; ++i)
        if (symbols[i] != no_token) symbols[kept++] = symbols[i];
    }
    symbols.resize(kept);
  }

  std::size_t longest_ = 0;
  std::vector<std::string> pieces_;   // [vocab], as the file has them
  std::vector<std::string> written_;  // [vocab], what they write
  std::vector<float> scores_;         // [vocab]
  std::unordered_map<std::string, std::uint32_t> tokens_;
  std::bitset<65536> neighbours_;  // pairs of bytes that stand side by side in some piece
};

}  // namespace reference_model
