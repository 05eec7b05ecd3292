#pragma once
// A table of words and numbers: aligned for people, CSV for programs.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <common/errors.hpp>

namespace programs {

// A number with `decimals` places; "-" for what is not a number.
inline std::string fixed(double value, int decimals) {
  if (value != value) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

// Bytes in the largest unit that leaves a figure of at least 1.
inline std::string human_bytes(double bytes) {
  char const* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit < 4; ++unit) bytes /= 1024;
  return fixed(bytes, unit == 0 ? 0 : 1) + " " + units[unit];
}

// Columns of a display: code points of UTF-8, one column each.
inline std::size_t display_width(std::string const& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

class table {
 public:
  explicit table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

  // One cell per column of the header.
  void add(std::vector<std::string> row) {
    if (row.size() != rows_[0].size()) throw std::logic_error("table: a row has another number of cells than the header");
    rows_.push_back(std::move(row));
  }

  // Columns two spaces apart; a column is right-aligned when every cell below its header is a number or "-".
  std::string aligned() const {
    std::vector<std::size_t> width(rows_[0].size(), 0);
    std::vector<bool> right(rows_[0].size(), rows_.size() > 1);
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      for (std::size_t c = 0; c < width.size(); ++c) {
        width[c] = std::max(width[c], display_width(rows_[r][c]));
        if (r > 0 && !numeric(rows_[r][c])) right[c] = false;
      }
    }
    std::string text;
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      std::string line;
      for (std::size_t c = 0; c < width.size(); ++c) {
        std::string const pad(width[c] - display_width(rows_[r][c]), ' ');
        if (c > 0) line += "  ";
        line += right[c] ? pad + rows_[r][c] : rows_[r][c] + pad;
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + '\n';
      if (r == 0) {
        std::string rule;
        for (std::size_t c = 0; c < width.size(); ++c) rule.append(c > 0 ? 2 : 0, ' ').append(width[c], '-');
        text += rule + '\n';
      }
    }
    return text;
  }

  // RFC 4180 with '\n'; "-" (no value) is an empty field.
  std::string csv() const {
    std::string text;
    for (auto const& row : rows_) {
      for (std::size_t c = 0; c < row.size(); ++c) {
        if (c > 0) text += ',';
        if (row[c] != "-") text += quoted(row[c]);
      }
      text += '\n';
    }
    return text;
  }

 private:
  static bool numeric(std::string const& cell) {
    return cell == "-" || (!cell.empty() && cell.find_first_not_of("0123456789.+-eE%x ") == std::string::npos &&
                           cell.find_first_of("0123456789") != std::string::npos);
  }
  static std::string quoted(std::string const& cell) {
    if (cell.find_first_of(",\"\n\r") == std::string::npos) return cell;
    std::string text = "\"";
    for (char const c : cell) {
      if (c == '"') text += c;
      text += c;
    }
    text += '"';
    return text;
  }

  std::vector<std::vector<std::string>> rows_;
};

}  // namespace programs
