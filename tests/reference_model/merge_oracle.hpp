#pragma once
// Tokens of llama2.c once more, by its definition: scan the whole list for the best pair, merge it, scan again. And the
// vocabularies to try it with.

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace oracle {

/// Pieces with their scores; the index is the token. A tokenizer.bin is made of it.
struct vocabulary {
  std::vector<std::pair<std::string, float>> pieces;

  /// The 259 tokens that every tokenizer.bin begins with, then these.
  explicit vocabulary(std::vector<std::pair<std::string, float>> const& more) {
    pieces = {{"<unk>", 0.0f}, {"\n<s>\n", 0.0f}, {"\n</s>\n", 0.0f}};
    for (unsigned b = 0; b < 256; ++b) {
      char name[7];
      std::snprintf(name, sizeof name, "<0x%02X>", b);
      pieces.emplace_back(name, 0.0f);
    }
    pieces.insert(pieces.end(), more.begin(), more.end());
  }

  std::string file() const {
    auto const bytes_of = [](auto number) { return std::string(reinterpret_cast<char const*>(&number), 4); };
    std::size_t longest = 1;
    for (auto const& [piece, score] : pieces) longest = piece.size() > longest ? piece.size() : longest;
    std::string bytes = bytes_of(static_cast<std::int32_t>(longest));
    for (auto const& [piece, score] : pieces)
      bytes += bytes_of(score) + bytes_of(static_cast<std::int32_t>(piece.size())) + piece;
    return bytes;
  }

  int find(std::string const& text) const {
    for (std::size_t i = 0; i < pieces.size(); ++i)
      if (pieces[i].first == text) return static_cast<int>(i);
    return -1;
  }
};

/// A space, the text's characters (a byte and up to three continuation bytes after it) or their bytes, then the merges.
inline std::vector<std::uint32_t> encode(vocabulary const& v, std::string_view text, bool with_bos) {
  std::vector<std::uint32_t> tokens;
  if (!text.empty() && v.find(" ") >= 0) tokens.push_back(static_cast<std::uint32_t>(v.find(" ")));
  std::string character;
  for (std::size_t i = 0; i < text.size(); ++i) {
    character += text[i];
    bool const goes_on = i + 1 < text.size() && (static_cast<unsigned char>(text[i + 1]) >> 6) == 2;
    if (goes_on && character.size() < 4) continue;
    if (int const token = v.find(character); token >= 0)
      tokens.push_back(static_cast<std::uint32_t>(token));
    else
      for (char b : character) tokens.push_back(3u + static_cast<unsigned char>(b));
    character.clear();
  }
  for (;;) {
    int best = -1;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      int const merged = v.find(v.pieces[tokens[i]].first + v.pieces[tokens[i + 1]].first);
      if (merged < 0) continue;
      if (best >= 0 &&
          !(v.pieces[static_cast<std::size_t>(merged)].second > v.pieces[static_cast<std::size_t>(best)].second))
        continue;
      best = merged;
      at = i;
    }
    if (best < 0) break;
    tokens[at] = static_cast<std::uint32_t>(best);
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  if (with_bos) tokens.insert(tokens.begin(), 1u);
  return tokens;
}

}  // namespace oracle
