#pragma once
// A plot of lines with markers: axes with round ticks, linear or logarithmic, and a legend.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <common/svg.hpp>

namespace programs {

struct series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // (x, y); what is not finite is left out
  bool reference = false;                         // a horizontal line at the first point's y, in grey
};

struct line_plot {
  std::string title, x_label, y_label;
  bool log_x = false, log_y = false;  // base 10, 1-2-5 ticks; values <= 0 are left out
  std::vector<series> lines;
  std::vector<double> x_ticks;        // the tick places; empty chooses round ones
  double y_low = std::numeric_limits<double>::quiet_NaN();   // the ends of the y axis; NaN takes them from the data
  double y_high = std::numeric_limits<double>::quiet_NaN();
};

// A number as short as it reads: 0.05, 2, 150, 12,000, 1e+08.
inline std::string tick_text(double value) {
  char text[32];
  double const size = std::fabs(value);
  if (size >= 1e7 || (size > 0 && size < 1e-4)) {
    std::snprintf(text, sizeof text, "%.3g", value);
    return text;
  }
  std::snprintf(text, sizeof text, value == std::round(value) ? "%.0f" : "%.6g", value);
  std::string number = text;
  if (size >= 10000 && number.find_first_of(".e") == std::string::npos) {
    for (std::size_t i = number.size() - 3; i > 0 && number[i - 1] != '-'; i = i > 3 ? i - 3 : 0) number.insert(i, ",");
  }
  return number;
}

// Maps values to px along one axis and says where the ticks are.
class plot_axis {
 public:
  plot_axis(double low, double high, bool logarithmic, double from, double to)
      : log_(logarithmic), low_(low), high_(high), from_(from), to_(to) {
    if (!(low_ <= high_)) low_ = log_ ? 1 : 0, high_ = log_ ? 10 : 1;
    if (low_ == high_) {
      double const pad = log_ ? 0 : std::max(std::fabs(low_) * 0.1, 1e-9);
      low_ = log_ ? low_ / 1.5 : low_ - pad;
      high_ = log_ ? high_ * 1.5 : high_ + pad;
    }
  }
  double at(double value) const {
    double const share = log_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
    return from_ + share * (to_ - from_);
  }
  bool holds(double value) const { return value >= low_ && value <= high_; }

  // About `wanted` round values within the axis.
  std::vector<double> ticks(int wanted) const {
    std::vector<double> places;
    if (log_ && high_ / low_ > 4) {
      for (double const mantissa : {1.0, 2.0, 5.0}) {
        for (double e = std::floor(std::log10(low_)); e <= std::ceil(std::log10(high_)); e += 1) {
          double const value = mantissa * std::pow(10.0, e);
          bool const crowded = high_ / low_ > 1e4 && mantissa != 1.0;
          if (!crowded && value >= low_ * (1 - 1e-9) && value <= high_ * (1 + 1e-9)) places.push_back(value);
        }
      }
      return places;
    }
    double const raw = (high_ - low_) / wanted;
    double const unit = std::pow(10.0, std::floor(std::log10(raw)));
    double const step = unit * (raw / unit <= 1 ? 1 : raw / unit <= 2 ? 2 : raw / unit <= 5 ? 5 : 10);
    for (double i = std::ceil(low_ / step - 1e-9); i * step <= high_ + step * 1e-9; i += 1) {
      places.push_back(i * step + 0.0);  // + 0.0 turns -0 into 0
    }
    return places;
  }

 private:
  bool log_;
  double low_, high_, from_, to_;
};

inline std::string draw(line_plot const& plot) {
  auto const usable = [&](double x, double y) {
    return std::isfinite(x) && std::isfinite(y) && (!plot.log_x || x > 0) && (!plot.log_y || y > 0);
  };
  double const none = std::numeric_limits<double>::infinity();
  double x_low = none, x_high = -none, y_low = none, y_high = -none;
  std::size_t longest = 0;
  for (series const& one : plot.lines) {
    longest = std::max(longest, one.name.size());
    for (auto const& [x, y] : one.points) {
      if (!usable(x, y)) continue;
      if (!one.reference) x_low = std::min(x_low, x), x_high = std::max(x_high, x);
      y_low = std::min(y_low, y), y_high = std::max(y_high, y);
    }
  }
  if (plot.log_y && y_high > 0) {
    double const pad = std::pow(y_high / y_low, 0.06);
    y_low /= pad, y_high *= pad;
  } else if (y_high > y_low) {
    double const pad = 0.05 * (y_high - y_low);
    y_low -= pad, y_high += pad;
  }
  if (!std::isnan(plot.y_low)) y_low = plot.y_low;
  if (!std::isnan(plot.y_high)) y_high = plot.y_high;

  double const legend = 46 + 6.8 * static_cast<double>(longest);
  double const left = 78, top = 48, bottom = 62, width = 560;
  double const height = std::max(330.0, 20.0 * static_cast<double>(plot.lines.size()));
  double const right = left + width, base = top + height;
  svg_page page(right + 18 + legend, base + bottom, plot.title);
  page.text(left, 28, plot.title, {.size = 16, .colour = "#111111", .bold = true});

  double const inset = 14;  // markers at the ends stay off the frame
  plot_axis const x_axis(x_low, x_high, plot.log_x, left + inset, right - inset);
  plot_axis const y_axis(y_low, y_high, plot.log_y, base, top);
  for (double const tick : y_axis.ticks(6)) {
    page.line(left, y_axis.at(tick), right, y_axis.at(tick), "#e4e4e4");
    page.text(left - 8, y_axis.at(tick) + 4, tick_text(tick), {.anchor = "end"});
  }
  double last = -1e9;
  std::vector<double> places = plot.x_ticks.empty() ? x_axis.ticks(7) : plot.x_ticks;
  std::sort(places.begin(), places.end());
  for (double const tick : places) {
    if (plot.log_x && tick <= 0) continue;
    page.line(x_axis.at(tick), base, x_axis.at(tick), base + 5, "#555555");
    double const half = 3.6 * static_cast<double>(tick_text(tick).size());
    if (x_axis.at(tick) - half < last + 6) continue;  // labels never run into one another
    page.text(x_axis.at(tick), base + 20, tick_text(tick), {.anchor = "middle"});
    last = x_axis.at(tick) + half;
  }
  page.line(left, base, right, base, "#555555");
  page.line(left, top, left, base, "#555555");
  page.text(left + width / 2, base + 44, plot.x_label, {.anchor = "middle", .size = 13});
  page.text(22, top + height / 2, plot.y_label, {.anchor = "middle", .size = 13, .turn = -90});

  std::size_t colour = 0;
  double row = top + 10;
  for (series one : plot.lines) {
    char const* const ink = one.reference ? "#777777" : series_colour(colour);
    char const* const dashes = one.reference ? "4 4" : series_dashes(colour);
    if (!one.reference) ++colour;
    if (one.reference && !one.points.empty() && usable(1, one.points[0].second)) {
      page.line(left, y_axis.at(one.points[0].second), right, y_axis.at(one.points[0].second), ink, 1.5, dashes);
    }
    std::sort(one.points.begin(), one.points.end());
    std::string path;
    if (!one.reference) {
      for (auto const& [x, y] : one.points) {
        if (usable(x, y) && y_axis.holds(y)) path += px(x_axis.at(x)) + "," + px(y_axis.at(y)) + " ";
      }
      page.polyline(path, ink, 2, dashes);
      for (auto const& [x, y] : one.points) {
        if (usable(x, y) && y_axis.holds(y)) {
          page.circle(x_axis.at(x), y_axis.at(y), 4, ink, one.name + ": " + tick_text(x) + ", " + tick_text(y));
        }
      }
    }
    page.line(right + 18, row, right + 42, row, ink, one.reference ? 1.5 : 2.5, dashes);
    if (!one.reference) page.circle(right + 30, row, 4, ink);
    page.text(right + 50, row + 4, one.name);
    row += 20;
  }
  return page.finished();
}

}  // namespace programs
