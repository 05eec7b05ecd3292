#pragma once
// An HTML page of headings, paragraphs, tables and pictures, with its style in it. Nothing is loaded, nothing runs.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <common/svg.hpp>

namespace programs {

struct report_cell {
  std::string text;     // HTML
  double shade = -1;    // in [0, 1]: the cell's ground, pale to strong; below 0: none
  bool number = true;   // stands at the right
};

// A table in a box of its own that scrolls where the page is narrow; the first column stays in sight.
class report_table {
 public:
  // `of_words`: its cells are no numbers, and stand at the left.
  report_table(std::string caption, std::vector<std::string> const& header, bool of_words = false)
      : caption_(std::move(caption)), of_words_(of_words) {
    for (std::string const& h : header) head_ += "<th scope=\"col\">" + escaped(h) + "</th>";
  }
  // `name` is plain text and heads the row.
  void add(std::string const& name, std::vector<report_cell> const& cells, std::string const& attributes = {}) {
    body_ += "<tr" + (attributes.empty() ? "" : " " + attributes) + "><th scope=\"row\">" + escaped(name) + "</th>";
    for (report_cell const& c : cells) {
      body_ += "<td";
      if (c.number) body_ += " class=\"n\"";
      if (c.shade >= 0) body_ += " style=\"--s:" + px(100 * (c.shade > 1 ? 1 : c.shade)) + "%\"";
      body_ += ">" + c.text + "</td>";
    }
    body_ += "</tr>\n";
  }
  std::string finished() const {
    return "<p class=\"cap\">" + escaped(caption_) + "</p><div class=\"box\" tabindex=\"0\" role=\"region\" aria-label=\"" +
           escaped(caption_) + "\"><table" + (of_words_ ? " class=\"words\"" : "") + "><thead><tr>" + head_ +
           "</tr></thead><tbody>\n" + body_ + "</tbody></table></div>\n";
  }

 private:
  std::string caption_, head_, body_;
  bool of_words_;
};

// Pictures side by side, as many as the page is wide, each with words above it.
class report_grid {
 public:
  void add(std::string const& name, std::string const& svg) {
    body_ += "<figure><figcaption>" + escaped(name) + "</figcaption>" + svg + "</figure>\n";
  }
  std::string finished() const { return "<div class=\"grid\">\n" + body_ + "</div>\n"; }

 private:
  std::string body_;
};

inline constexpr char const* report_style = R"(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--line:#d0d7de;--band:#f6f8fa;--tone:#2f81c4}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--paper:#0d1117;--line:#30363d;--band:#161b22;--tone:#2f6fab}
svg rect[fill="#ffffff"]{fill:var(--paper)}svg text{fill:var(--soft)}svg path[fill="#cfe3f2"]{fill:#17344f}
svg [stroke="#cfcfcf"]{stroke:#3d444d}svg [stroke="#e4e4e4"]{stroke:#21262d}svg [stroke="#0072b2"]{stroke:#58a6ff}
svg [fill="#0072b2"]{fill:#58a6ff}svg circle{stroke:var(--paper)}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:72rem;font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;color:var(--ink);background:var(--paper);overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2;margin:.2em 0 .4em}h2{font-size:1.25rem;margin:2em 0 .4em;padding-top:.6em;border-top:1px solid var(--line)}h3{font-size:1rem;margin:1.4em 0 .3em}
p{margin:.5em 0;max-width:46rem}.soft{color:var(--soft);font-size:.9rem}.lead{font-size:1.1rem}
nav{font-size:.9rem}nav a{margin-right:1em;white-space:nowrap}a{color:var(--tone)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1em;margin:.6em 0}dt{color:var(--soft)}dd{margin:0}
.box{overflow-x:auto;margin:.8em 0;border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:.85rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
.cap{color:var(--soft);font-size:.9rem;margin:1.2em 0 0;max-width:none}.cap+.box{margin-top:.3em}
th,td{padding:.3em .7em;border-top:1px solid var(--line);text-align:left;white-space:nowrap}
thead th{text-align:right;color:var(--soft);font-weight:600;vertical-align:bottom}thead th:first-child,.words thead th,thead th:last-child:nth-child(n+12){text-align:left}
tbody th{font-weight:600;position:sticky;left:0;background:var(--paper);border-right:1px solid var(--line)}
td.n{text-align:right}td[style]{background:linear-gradient(90deg,color-mix(in srgb,var(--tone) 28%,transparent) var(--s),transparent var(--s))}
.words td{white-space:normal;min-width:10rem}td small{color:var(--soft);white-space:nowrap}
code{font:12px/1.4 ui-monospace,"DejaVu Sans Mono",monospace}td code{white-space:nowrap}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:.6rem;margin:.6em 0}
figure{margin:0;break-inside:avoid;min-width:0}figcaption{font-size:.85rem;font-weight:600}
svg{display:block;width:100%;height:auto}
.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),1fr))}
@media (min-width:60rem){.grid{grid-template-columns:repeat(4,1fr)}.wide{grid-template-columns:repeat(3,1fr)}}
@media print{body{max-width:none;padding:0;font-size:10pt}nav{display:none}.box{overflow:visible;border:0}h2,h3,.cap{break-after:avoid}tr{break-inside:avoid}
table{font-size:7pt}th,td{white-space:normal;padding:.15em .3em;overflow-wrap:anywhere}td code{white-space:normal;font-size:6pt}tbody th{position:static}
.grid{grid-template-columns:repeat(4,1fr)}.wide{grid-template-columns:repeat(2,1fr)}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
)";

class report_page {
 public:
  explicit report_page(std::string title) : title_(std::move(title)) {}

  void section(std::string const& id, std::string const& heading) {
    body_ += "<h2 id=\"" + id + "\">" + escaped(heading) + "</h2>\n";
    links_ += "<a href=\"#" + id + "\">" + escaped(heading) + "</a> ";
  }
  void heading(std::string const& words) { body_ += "<h3>" + escaped(words) + "</h3>\n"; }
  // `words` are plain; `kind` is a class of the style: lead, soft.
  void say(std::string const& words, std::string const& kind = {}) {
    body_ += "<p" + (kind.empty() ? "" : " class=\"" + kind + "\"") + ">" + escaped(words) + "</p>\n";
  }
  void facts(std::vector<std::pair<std::string, std::string>> const& all) {
    body_ += "<dl>";
    for (auto const& [name, value] : all) body_ += "<dt>" + escaped(name) + "</dt><dd>" + escaped(value) + "</dd>";
    body_ += "</dl>\n";
  }
  void add(report_table const& t) { body_ += t.finished(); }
  void add(report_grid const& g) { body_ += g.finished(); }
  void add_markup(std::string const& markup) { body_ += markup; }
  // Where the links to the sections stand.
  void contents() { body_ += contents_mark; }

  std::string finished() const {
    std::string body = body_;
    if (auto const at = body.find(contents_mark); at != std::string::npos)
      body.replace(at, std::string(contents_mark).size(), "<nav>" + links_ + "</nav>\n");
    return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<link rel=\"icon\" href=\"data:,\">\n<title>" +
           escaped(title_) + "</title>\n<style>" + report_style + "</style></head>\n<body>\n<main>\n<h1>" + escaped(title_) +
           "</h1>\n" + body + "</main>\n</body></html>\n";
  }

 private:
  static constexpr char const* contents_mark = "\x01";
  std::string title_, body_, links_;
};

}  // namespace programs
