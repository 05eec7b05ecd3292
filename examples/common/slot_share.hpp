#pragma once
// Slots as a share of a policy's budget, as policy files and --set state them: "30%", "30% + 1", "100% - 4".
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <kvsift/policy/fields.hpp>

namespace programs {

inline constexpr char const* share_words = "a share of the budget such as \"30%\" or \"30% + 1\"";

// `percent` of the budget, rounded down, and then `more` slots (or fewer), at least 0.
struct slot_share {
  double percent = 0;
  std::int64_t more = 0;

  std::uint64_t of(std::uint64_t budget) const {
    // The same rounding as --budget P%: a product that is whole is not rounded below itself.
    auto const part = static_cast<std::int64_t>(std::floor(percent * static_cast<double>(budget) / 100 + 1e-9));
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, part + more));
  }
  friend bool operator==(slot_share const&, slot_share const&) = default;
};

// Whether a field counts slots that a share of the budget may stand for.
inline bool takes_share(std::string_view field) {
  for (char const* const name : {"sinks", "recent", "newest", "excluded", "stride", "window"})
    if (field == name) return true;
  return false;
}

// The share that `text` writes, with 0 to 100 % and blanks around the sign, or nothing.
inline std::optional<slot_share> parse_share(std::string_view text) {
  constexpr std::string_view digits = "0123456789";
  std::size_t const sign = text.find('%');
  if (sign == std::string_view::npos || sign > 8) return std::nullopt;
  std::string_view const percent = text.substr(0, sign);
  slot_share share;
  auto const [end, error] = std::from_chars(percent.data(), percent.data() + percent.size(), share.percent, std::chars_format::fixed);
  bool const number = !percent.empty() && percent.find_first_not_of("0123456789.") == std::string_view::npos &&
                      error == std::errc{} && end == percent.data() + percent.size();
  if (!number || share.percent > 100) return std::nullopt;
  std::string rest;
  for (char const c : text.substr(sign + 1))
    if (c != ' ') rest += c;
  if (rest.empty()) return share;
  bool const whole = rest.size() >= 2 && rest.size() <= 10 && (rest[0] == '+' || rest[0] == '-') &&
                     rest.find_first_not_of(digits, 1) == std::string::npos;
  if (!whole) return std::nullopt;
  share.more = std::stoll(rest);
  return share;
}

}  // namespace programs
