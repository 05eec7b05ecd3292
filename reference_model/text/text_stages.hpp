#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reference_model/text/characters.hpp>
#include <reference_model/text/unicode.hpp>

namespace reference_model {

/// A stage that rewrites text.
using normalizer = std::function<std::string(std::string_view)>;

/// A part of the text that no merge leaves.
struct text_piece {
  std::string text;
  bool begins_text = false;  ///< nothing stands before it, no added token either
};

/// A stage that cuts a piece into smaller ones, appended to `out`.
using pre_tokenizer = std::function<void(text_piece const& piece, std::vector<text_piece>& out)>;

/// `text` with each `from`, which must not be empty, become `to`.
inline std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t const next = text.find(from, at);
    out += text.substr(at, next - at);
    if (next == std::string_view::npos) break;
    out += to;
    at = next + from.size();
  }
  return out;
}

/// Where `what` stands in `text`, from left to right, without overlap.
inline std::vector<byte_range> places_of(std::string_view text, std::string_view what) {
  std::vector<byte_range> places;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size()))
    places.push_back({at, at + what.size()});
  return places;
}

/// What becomes of the matches that cut a text: pieces of their own, nothing, one piece with those beside them, or part
/// of the piece before or behind.
enum class split_behavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

/// Cuts a piece at its matches. With `inverted` what lies between matches cuts instead.
inline void cut_at(text_piece const& piece, std::vector<byte_range> const& matches, split_behavior behavior,
                   bool inverted, std::vector<text_piece>& out) {
  struct part {
    std::size_t begin, end;
    bool cuts;
  };
  std::vector<part> parts;
  std::size_t done = 0;
  for (byte_range const m : matches) {
    if (m.begin > done) parts.push_back({done, m.begin, inverted});
    if (m.end > m.begin) parts.push_back({m.begin, m.end, !inverted});
    done = m.end;
  }
  if (done < piece.text.size()) parts.push_back({done, piece.text.size(), inverted});
  std::vector<part> kept;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    part const p = parts[i];
    bool const after_cut = i > 0 && parts[i - 1].cuts;
    if (p.cuts && behavior == split_behavior::removed) continue;
    bool const joins = !kept.empty() && ((behavior == split_behavior::contiguous && p.cuts == after_cut) ||
                                         (behavior == split_behavior::merged_with_previous && p.cuts && !after_cut) ||
                                         (behavior == split_behavior::merged_with_next && !p.cuts && after_cut));
    if (joins)
      kept.back().end = p.end;
    else
      kept.push_back(p);
  }
  for (part const& p : kept)
    out.push_back({piece.text.substr(p.begin, p.end - p.begin), piece.begins_text && p.begin == 0});
}

/// Cuts at digits, each by itself or those side by side together.
inline pre_tokenizer digits_stage(bool individual) {
  return [individual](text_piece const& piece, std::vector<text_piece>& out) {
    std::vector<byte_range> numbers;
    for (std::size_t at = 0; at < piece.text.size();) {
      character const c = character_at(piece.text, at);
      if (is_number(c.code)) numbers.push_back({at, at + c.bytes});
      at += c.bytes;
    }
    cut_at(piece, numbers, individual ? split_behavior::isolated : split_behavior::contiguous, false, out);
  };
}

/// Spaces become `mark`, one more is put in front if `prepends`, and pieces begin at each if `splits`.
enum class prepend_scheme { never, first, always };
inline pre_tokenizer metaspace_stage(std::string mark, prepend_scheme scheme, bool splits) {
  return [mark = std::move(mark), scheme, splits](text_piece const& piece, std::vector<text_piece>& out) {
    text_piece marked{replaced(piece.text, " ", mark), piece.begins_text};
    bool const in_front = scheme == prepend_scheme::always || (scheme == prepend_scheme::first && piece.begins_text);
    if (in_front && !marked.text.starts_with(mark)) marked.text.insert(0, mark);
    if (splits)
      cut_at(marked, places_of(marked.text, mark), split_behavior::merged_with_next, false, out);
    else
      out.push_back(std::move(marked));
  };
}

}  // namespace reference_model
