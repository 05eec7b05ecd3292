#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <reference_model/text/characters.hpp>

namespace reference_model {

/// A token that is found in the text itself, before it is split.
struct added_token {
  std::string content;
  std::uint32_t id = 0;
  bool takes_space_before = false, takes_space_after = false;  ///< white space beside it goes with it
  bool in_normalized = false;                                  ///< it is looked for once the text is normalised
  bool special = false;
};

/// Finds added tokens: from left to right, the longest of those that begin at a byte. Cost: length of the longest a
/// byte.
class added_tokens {
 public:
  /// An empty content is never found.
  void add(added_token const& token) {
    std::uint32_t node = 0;
    for (char const c : token.content) {
      auto const [place, made] = children_.emplace(edge(node, c), static_cast<std::uint32_t>(ends_.size()));
      if (made) ends_.push_back(none);
      node = place->second;
    }
    if (node == 0) return;
    ends_[node] = static_cast<std::uint32_t>(tokens_.size());
    tokens_.push_back(token);
  }

  /// Calls between(begin, end) for what lies before, between and behind the tokens, unless it is empty, and
  /// found(token) for each token, in the text's order.
  template <class Between, class Found>
  void cut(std::string_view text, Between const& between, Found const& found) const {
    std::size_t done = 0;
    for (std::size_t at = 0; !tokens_.empty() && at < text.size();) {
      auto const [which, length] = longest_at(text, at);
      if (which == none) {
        ++at;
        continue;
      }
      added_token const& token = tokens_[which];
      std::size_t begin = at, end = at + length;
      at = end;
      if (token.takes_space_before) begin = space_before(text, begin);
      if (token.takes_space_after) end = space_after(text, end);
      if (begin > done) between(done, begin);
      found(token);
      done = end;
      if (at < done) at = done;
    }
    if (done < text.size()) between(done, text.size());
  }

 private:
  static constexpr std::uint32_t none = 0xffffffffu;
  struct match {
    std::uint32_t which;
    std::size_t length;
  };

  static std::uint64_t edge(std::uint32_t node, char c) {
    return std::uint64_t{node} << 8 | static_cast<unsigned char>(c);
  }

  match longest_at(std::string_view text, std::size_t at) const {
    match best{none, 0};
    std::uint32_t node = 0;
    for (std::size_t i = at; i < text.size(); ++i) {
      auto const child = children_.find(edge(node, text[i]));
      if (child == children_.end()) break;
      node = child->second;
      if (ends_[node] != none) best = {ends_[node], i + 1 - at};
    }
    return best;
  }

  static std::size_t space_before(std::string_view text, std::size_t at) {
    while (at > 0) {
      std::size_t begin = at - 1;
      while (begin > 0 && at - begin < 3 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
      character const c = character_at(text, begin);
      if (c.bytes != at - begin || !is_white_space(c.code)) break;
      at = begin;
    }
    return at;
  }
  static std::size_t space_after(std::string_view text, std::size_t at) {
    while (at < text.size()) {
      character const c = character_at(text, at);
      if (!is_white_space(c.code)) break;
      at += c.bytes;
    }
    return at;
  }

  std::unordered_map<std::uint64_t, std::uint32_t> children_;
  std::vector<std::uint32_t> ends_{none};  // [node], the token that ends there
  std::vector<added_token> tokens_;
};

}  // namespace reference_model
