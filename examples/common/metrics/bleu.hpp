#pragma once
// BLEU (Papineni et al. 2002) as sacrebleu computes it by default: tokenizer 13a, up to 4-grams, exponential smoothing.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <common/metrics/overlap.hpp>
#include <common/metrics/words.hpp>

namespace programs {

// The words of mteval's tokenizer 13a: ASCII punctuation stands apart, but for ' and -, and for . and , between digits;
// - stands apart behind a digit. ASCII white space at the end does not count.
inline std::vector<std::string> words_13a(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0 && stripped(text.substr(end - 1)).empty() && static_cast<unsigned char>(text[end - 1]) < 0x80) --end;
  std::string line(text.substr(0, end));
  auto const replace_all = [&](std::string_view what, std::string_view by) {
    for (std::size_t at = 0; (at = line.find(what, at)) != std::string::npos; at += by.size())
      line.replace(at, what.size(), by);
  };
  replace_all("<skipped>", "");
  replace_all("-\n", "");
  replace_all("\n", " ");
  if (line.find('&') != std::string::npos)
    for (auto const& [name, sign] : {std::pair{"&quot;", "\""}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}})
      replace_all(name, sign);
  line = " " + line + " ";

  auto const digit = [](char c) { return c >= '0' && c <= '9'; };
  auto const dot = [](char c) { return c == '.' || c == ','; };
  std::string apart;
  for (char const c : line) {
    bool const sign = (c >= '!' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
                      (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
    if (sign)
      apart.append({' ', c, ' '});
    else
      apart += c;
  }
  // Each pass takes pairs of characters that do not overlap, from the left.
  auto const pass = [&](auto fits, auto put) {
    std::string out;
    std::size_t i = 0;
    while (i < apart.size()) {
      if (i + 1 < apart.size() && fits(apart[i], apart[i + 1])) {
        put(out, apart[i], apart[i + 1]);
        i += 2;
      } else {
        out += apart[i++];
      }
    }
    apart = std::move(out);
  };
  auto const second = [](std::string& out, char a, char b) { out.append({a, ' ', b, ' '}); };
  pass([&](char a, char b) { return !digit(a) && dot(b); }, second);
  pass([&](char a, char b) { return dot(a) && !digit(b); },
       [](std::string& out, char a, char b) {
         out.append({' ', a, ' ', b});
       });
  pass([&](char a, char b) { return digit(a) && b == '-'; }, second);
  return words_of(apart);
}

// What BLEU counts; counts of many predictions add up to those of the corpus.
struct bleu_counts {
  std::array<std::size_t, 4> matched{}, all{};
  std::size_t predicted = 0, wanted = 0;  // words; those of the answer that is nearest in length

  bleu_counts& operator+=(bleu_counts const& more) {
    for (std::size_t n = 0; n < 4; ++n) matched[n] += more.matched[n], all[n] += more.all[n];
    predicted += more.predicted;
    wanted += more.wanted;
    return *this;
  }

  // In [0, 1]. A sentence counts no n-grams longer than itself (`sentence`); a corpus without 4-grams scores 0.
  double score(bool sentence) const {
    if (matched == std::array<std::size_t, 4>{}) return 0;
    double logs = 0, smoothing = 1;
    std::size_t order = 0;
    for (; order < 4 && all[order] > 0; ++order) {
      double share = static_cast<double>(matched[order]) / static_cast<double>(all[order]);
      if (matched[order] == 0) share = 1 / ((smoothing *= 2) * static_cast<double>(all[order]));
      logs += std::log(share);
    }
    if (order < 4 && !sentence) return 0;
    double const length = static_cast<double>(wanted) / static_cast<double>(predicted);
    return std::exp(logs / static_cast<double>(order) + std::min(0.0, 1 - length));
  }
};

inline bleu_counts count_bleu(std::string_view prediction, std::vector<std::string> const& answers) {
  bleu_counts counts;
  auto const words = words_13a(prediction);
  counts.predicted = words.size();
  std::array<std::map<std::vector<std::string>, std::size_t>, 4> most;  // of each n-gram in any one answer
  bool first = true;
  for (std::string const& answer : answers) {
    auto const wanted = words_13a(answer);
    auto const away = [&](std::size_t n) { return n > words.size() ? n - words.size() : words.size() - n; };
    std::size_t const now = away(wanted.size()), best = away(counts.wanted);
    if (first || now < best || (now == best && wanted.size() < counts.wanted)) counts.wanted = wanted.size();
    first = false;
    for (std::size_t n = 0; n < 4; ++n)
      for (auto const& [gram, count] : counted(ngrams(wanted, n + 1))) most[n][gram] = std::max(most[n][gram], count);
  }
  for (std::size_t n = 0; n < 4; ++n) {
    auto const mine = ngrams(words, n + 1);
    counts.all[n] = mine.size();
    counts.matched[n] = common_items(counted(mine), most[n]);
  }
  return counts;
}

// Of one prediction.
inline double bleu(std::string_view prediction, std::vector<std::string> const& answers) {
  return count_bleu(prediction, answers).score(true);
}

}  // namespace programs
