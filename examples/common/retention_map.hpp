#pragma once
// Which tokens stayed, and how long: one picture of a whole run, layer x position.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <common/line_plot.hpp>
#include <common/svg.hpp>

namespace programs {

// For every (layer, KV head) and position: after how many tokens seen it was last held. Fed after every step.
class retention_record {
 public:
  retention_record(int layers, int kv_heads)
      : layers_(layers), heads_(kv_heads),
        last_held_(static_cast<std::size_t>(layers) * static_cast<std::size_t>(kv_heads)) {}

  // `held`: the positions the head holds once `seen` tokens were fed. Any range of integers, any order.
  template <class Positions>
  void saw(int layer, int head, Positions const& held, long long seen) {
    auto& last = last_held_[row(layer, head)];
    if (last.size() < static_cast<std::size_t>(seen)) last.resize(static_cast<std::size_t>(seen), -1);
    for (auto const position : held) {
      auto const p = static_cast<std::size_t>(position);
      if (p < last.size()) last[p] = static_cast<std::int32_t>(seen);
    }
    seen_ = std::max(seen_, seen);
  }

  int layers() const { return layers_; }
  int heads() const { return heads_; }
  long long seen() const { return seen_; }
  bool kept(int layer, int head, long long position) const { return last(layer, head, position) == seen_; }
  // Tokens fed after the position's own until it went; 0 when it went before it was seen held.
  long long lived(int layer, int head, long long position) const {
    return std::max<long long>(0, last(layer, head, position) - position - 1);
  }

 private:
  std::size_t row(int layer, int head) const { return static_cast<std::size_t>(layer * heads_ + head); }
  long long last(int layer, int head, long long position) const {
    auto const& all = last_held_[row(layer, head)];
    return static_cast<std::size_t>(position) < all.size() ? all[static_cast<std::size_t>(position)] : -1;
  }

  int layers_, heads_;
  long long seen_ = 0;
  std::vector<std::vector<std::int32_t>> last_held_;  // [layer * KV heads + head][position], -1 never
};

// One band a layer, one stripe a KV head, the first layer on top. Blue: evicted, the darker the longer it lived (a logarithmic
// scale). Orange: held at the end. Where several positions share a pixel column the longest-lived of them is shown.
inline std::string draw(retention_record const& record, std::string const& title, long long prompt_tokens) {
  char const* const kept_colour = "#e66100";
  long long const seen = std::max<long long>(record.seen(), 1);
  double const left = 74, top = 62, width = 860, gap = 8;
  double const stripe = std::clamp(360.0 / (record.layers() * record.heads()), 2.0, 9.0);
  double const band = stripe * record.heads();
  double const height = record.layers() * (band + gap) - gap;
  long long const columns = std::min<long long>(seen, 860);
  double const column = width / static_cast<double>(columns);
  svg_page page(left + width + 24, top + height + 112, title);
  page.text(20, 28, title, {.size = 16, .colour = "#111111", .bold = true});
  page.text(left + width, 28, "stripes inside a layer are its KV heads", {.anchor = "end", .colour = "#666666"});

  double const longest = std::log1p(static_cast<double>(seen));
  auto const level = [&](long long lived) {  // 16 colours are enough, and equal neighbours become one rectangle
    return std::round(15 * std::log1p(static_cast<double>(lived)) / longest) / 15;
  };
  std::map<std::string, std::string> areas;  // colour to path data
  for (int layer = 0; layer < record.layers(); ++layer) {
    double const y0 = top + layer * (band + gap);
    page.text(left - 8, y0 + band / 2 + 4, "layer " + std::to_string(layer), {.anchor = "end"});
    for (int head = 0; head < record.heads(); ++head) {
      std::string run_colour;
      long long run_start = 0;
      for (long long c = 0; c <= columns; ++c) {
        std::string colour;
        if (c < columns) {
          bool kept = false;
          long long lived = 0;
          for (long long p = c * seen / columns; p < (c + 1) * seen / columns; ++p) {
            kept = kept || record.kept(layer, head, p);
            lived = std::max(lived, record.lived(layer, head, p));
          }
          colour = kept ? kept_colour : shade(level(lived));
        }
        if (colour == run_colour) continue;
        if (!run_colour.empty()) {
          std::string const wide = px(static_cast<double>(c - run_start) * column + 0.05), tall = px(stripe + 0.05);
          areas[run_colour] += "M" + px(left + static_cast<double>(run_start) * column) + " " + px(y0 + head * stripe) +
                               "h" + wide + "v" + tall + "h-" + wide + "z";
        }
        run_colour = colour, run_start = c;
      }
    }
  }

  for (auto const& [colour, moves] : areas) page.path(moves, colour);

  double const base = top + height + 6;
  plot_axis const axis(0, static_cast<double>(seen), false, left, left + width);
  page.line(left, base, left + width, base, "#555555");
  for (double const tick : axis.ticks(10)) {
    page.line(axis.at(tick), base, axis.at(tick), base + 5, "#555555");
    page.text(axis.at(tick), base + 19, tick_text(tick), {.anchor = "middle"});
  }
  page.text(left + width / 2, base + 39, "position", {.anchor = "middle", .size = 13});
  if (prompt_tokens > 0 && prompt_tokens < seen) {
    double const x = axis.at(static_cast<double>(prompt_tokens));
    page.line(x, top - 6, x, base, "#111111", 1.2, "4 3");
    bool const late = x > left + 0.8 * width;
    page.text(late ? x - 5 : x + 5, top - 8, late ? "prompt ends" : "prompt ends here", {.anchor = late ? "end" : "start"});
  }

  double const key = base + 62;
  page.rectangle(left, key, 16, 14, kept_colour);
  page.text(left + 22, key + 11, "held at the end");
  double const ramp = left + 250;
  page.text(ramp - 8, key + 11, "evicted after 0", {.anchor = "end"});
  for (int i = 0; i < 16; ++i) page.rectangle(ramp + 14 * i, key, 14.5, 14, shade(i / 15.0));
  page.text(ramp + 14 * 16 + 8, key + 11, tick_text(static_cast<double>(seen)) + " tokens (logarithmic)");
  return page.finished();
}

}  // namespace programs
