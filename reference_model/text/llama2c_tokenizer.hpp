#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/file_source.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace reference_model {

/// llama2.c's tokenizer.bin: int32 longest piece, then for each token a float score, an int32 length and its bytes.
/// Encodes by byte-pair merges, the highest score first and of equal scores the leftmost, after a dummy space.
/// A character without a token becomes its bytes' tokens 3 .. 258. Throws bad_file.
class llama2c_tokenizer : public tokenizer {
 public:
  /// The file must hold exactly the model's vocabulary.
  llama2c_tokenizer(file_source file, config const& c) : tokenizer(c) {
    std::int32_t longest = 0;
    file.read(0, &longest, 4);
    if (longest < 1 || longest > 1 << 16)
      throw bad_file(file.name(), "longest piece is " + std::to_string(longest) + "; 1 to 65536 is possible; is it a tokenizer.bin?");
    longest_ = static_cast<std::size_t>(longest);
    std::uint64_t at = 4;
    while (at < file.size()) {
      std::string const which = "token " + std::to_string(pieces_.size());
      if (pieces_.size() == c.vocab)
        throw bad_file(file.name(), "holds more than the " + std::to_string(c.vocab) +
                                        " tokens of the model's vocabulary; it belongs to another model");
      float score = 0;
      std::int32_t length = 0;
      file.read(at, &score, 4);
      file.read(at + 4, &length, 4);
      if (length < 0 || length > longest)
        throw bad_file(file.name(), which + " has length " + std::to_string(length) + "; at most " +
                                        std::to_string(longest) + " is promised; the file is damaged");
      if (!std::isfinite(score)) throw bad_file(file.name(), which + " has a score that is not finite; the file is damaged");
      std::string bytes(static_cast<std::size_t>(length), '\0');
      file.read(at + 8, bytes.data(), bytes.size());
      at += 8 + bytes.size();
      scores_.push_back(score);
      pieces_.push_back(std::move(bytes));
    }
    if (pieces_.size() != c.vocab)
      throw bad_file(file.name(), "holds " + std::to_string(pieces_.size()) + " tokens; the model's vocabulary has " +
                                      std::to_string(c.vocab) + "; it is truncated or belongs to another model");
    if (pieces_.size() < first_byte + 256)
      throw bad_file(file.name(), "holds " + std::to_string(pieces_.size()) + " tokens; at least 259 are needed, for the bytes");
    for (std::uint32_t i = 0; i < pieces_.size(); ++i) {
      tokens_.emplace(pieces_[i], i);  // of equal pieces the first
      written_.push_back(byte_of(pieces_[i]));
    }
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

  // Merges neighbours until no pair is a token. Symbols form a list; a merge lives in its left symbol, so list order is
  // index order, and the queue yields the highest score, then the leftmost: the order of a scan over the whole list.
  void merge(std::vector<std::uint32_t>& symbols) const {
    struct candidate {
      float score;
      std::uint32_t left, right, left_token, right_token, merged;
      bool operator<(candidate const& o) const { return score != o.score ? score < o.score : left > o.left; }
    };
    std::uint32_t const n = static_cast<std::uint32_t>(symbols.size());
    std::vector<std::uint32_t> next(n), previous(n);
    for (std::uint32_t i = 0; i < n; ++i) {
      next[i] = i + 1 < n ? i + 1 : no_token;
      previous[i] = i > 0 ? i - 1 : no_token;
    }
    std::priority_queue<candidate> queue;
    std::string both;
    auto const consider = [&](std::uint32_t left, std::uint32_t right) {
      if (left == no_token || right == no_token) return;
      std::string const& a = pieces_[symbols[left]];
      std::string const& b = pieces_[symbols[right]];
      if (a.size() + b.size() > longest_) return;
      both.assign(a).append(b);
      if (std::uint32_t const token = find(both); token != no_token)
        queue.push({scores_[token], left, right, symbols[left], symbols[right], token});
    };
    for (std::uint32_t i = 0; i + 1 < n; ++i) consider(i, i + 1);
    while (!queue.empty()) {
      candidate const c = queue.top();
      queue.pop();
      // Out of date if one of the two has been merged since.
      if (symbols[c.left] != c.left_token || next[c.left] != c.right || symbols[c.right] != c.right_token) continue;
      symbols[c.left] = c.merged;
      symbols[c.right] = no_token;
      next[c.left] = next[c.right];
      if (next[c.left] != no_token) previous[next[c.left]] = c.left;
      consider(previous[c.left], c.left);
      consider(c.left, next[c.left]);
    }
    symbols.erase(std::remove(symbols.begin(), symbols.end(), no_token), symbols.end());
  }

  std::size_t longest_ = 0;
  std::vector<std::string> pieces_;   // [vocab], as the file has them
  std::vector<std::string> written_;  // [vocab], what they write
  std::vector<float> scores_;         // [vocab]
  std::unordered_map<std::string, std::uint32_t> tokens_;
};

}  // namespace reference_model
