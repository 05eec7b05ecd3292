#pragma once
// The few SVG elements the pictures need, on a white page of a fixed size; nothing is loaded from anywhere.
#include <cstdio>
#include <string>
#include <string_view>

#include <common/markup.hpp>

namespace programs {

// A length or coordinate in px with at most two decimals.
inline std::string px(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  std::string number = text;
  number.erase(number.find_last_not_of('0') + 1);
  if (number.back() == '.') number.pop_back();
  return number == "-0" ? "0" : number;
}

struct text_style {
  char const* anchor = "start";  // start, middle, end
  double size = 12;              // px
  char const* colour = "#333333";
  bool bold = false;
  double turn = 0;               // degrees, clockwise about the anchor
};

class svg_page {
 public:
  // `label` is what a screen reader says of the picture.
  svg_page(double width, double height, std::string_view label) {
    body_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + px(width) + "\" height=\"" + px(height) +
            "\" viewBox=\"0 0 " + px(width) + " " + px(height) + "\" role=\"img\" aria-label=\"" + escaped(label) +
            "\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n";
    rectangle(0, 0, width, height, "#ffffff");
  }

  void rectangle(double x, double y, double width, double height, std::string_view fill, std::string_view title = {}) {
    body_ += "<rect x=\"" + px(x) + "\" y=\"" + px(y) + "\" width=\"" + px(width) + "\" height=\"" + px(height) +
             "\" fill=\"" + std::string(fill) + "\"";
    body_ += title.empty() ? "/>\n" : "><title>" + escaped(title) + "</title></rect>\n";
  }
  // Many shapes of one colour; `moves` is the path data.
  void path(std::string_view moves, std::string_view fill) {
    body_ += "<path fill=\"" + std::string(fill) + "\" d=\"" + std::string(moves) + "\"/>\n";
  }
  void line(double x0, double y0, double x1, double y1, std::string_view colour, double width = 1,
            std::string_view dashes = {}) {
    body_ += "<line x1=\"" + px(x0) + "\" y1=\"" + px(y0) + "\" x2=\"" + px(x1) + "\" y2=\"" + px(y1) +
             "\" stroke=\"" + std::string(colour) + "\" stroke-width=\"" + px(width) + "\"" + dashed(dashes) + "/>\n";
  }
  // `points` as in SVG: "x,y x,y".
  void polyline(std::string_view points, std::string_view colour, double width, std::string_view dashes = {}) {
    body_ += "<polyline fill=\"none\" stroke=\"" + std::string(colour) + "\" stroke-width=\"" + px(width) +
             "\" stroke-linejoin=\"round\"" + dashed(dashes) + " points=\"" + std::string(points) + "\"/>\n";
  }
  void circle(double x, double y, double radius, std::string_view fill, std::string_view title = {}) {
    body_ += "<circle cx=\"" + px(x) + "\" cy=\"" + px(y) + "\" r=\"" + px(radius) + "\" fill=\"" + std::string(fill) +
             "\" stroke=\"#ffffff\" stroke-width=\"1\"";
    body_ += title.empty() ? "/>\n" : "><title>" + escaped(title) + "</title></circle>\n";
  }
  void text(double x, double y, std::string_view words, text_style const& style = {}) {
    body_ += "<text x=\"" + px(x) + "\" y=\"" + px(y) + "\" font-size=\"" + px(style.size) + "\" fill=\"" +
             style.colour + "\" text-anchor=\"" + style.anchor + "\"";
    if (style.bold) body_ += " font-weight=\"bold\"";
    if (style.turn != 0) {
      body_ += " transform=\"rotate(" + px(style.turn) + " " + px(x) + " " + px(y) + ")\"";
    }
    body_ += ">" + escaped(words) + "</text>\n";
  }

  std::string finished() const { return body_ + "</svg>\n"; }

 private:
  static std::string dashed(std::string_view dashes) {
    return dashes.empty() ? "" : " stroke-dasharray=\"" + std::string(dashes) + "\"";
  }

  std::string body_;
};

// Eight colours that stay apart for colour-blind readers and in grey; series i takes colour i mod 8.
inline char const* series_colour(std::size_t index) {
  char const* const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7f6000"};
  return colours[index % 8];
}
// Beyond eight series the line is dashed, so that colour and dash together stay unique up to 24.
inline char const* series_dashes(std::size_t index) {
  char const* const dashes[] = {"", "6 3", "2 3"};
  return dashes[index / 8 % 3];
}

// Pale to dark blue for `share` in [0, 1]; outside is clamped, NaN is light grey.
inline std::string shade(double share) {
  if (share != share) return "#eeeeee";
  double const s = share < 0 ? 0 : share > 1 ? 1 : share;
  int const pale[] = {237, 243, 250}, dark[] = {8, 64, 129};
  char text[8];
  auto const mix = [&](int i) { return static_cast<int>(pale[i] + s * (dark[i] - pale[i]) + 0.5); };
  std::snprintf(text, sizeof text, "#%02x%02x%02x", static_cast<unsigned>(mix(0)) & 255u,
                static_cast<unsigned>(mix(1)) & 255u, static_cast<unsigned>(mix(2)) & 255u);
  return text;
}

}  // namespace programs
