#include <common/metrics/metric.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

#include <common/errors.hpp>
#include <common/metrics/bleu.hpp>
#include <common/metrics/class_match.hpp>
#include <common/metrics/edit_similarity.hpp>
#include <common/metrics/exact_match.hpp>
#include <common/metrics/exam_match.hpp>
#include <common/metrics/meteor.hpp>
#include <common/metrics/number_match.hpp>
#include <common/metrics/rouge.hpp>
#include <common/metrics/string_match.hpp>
#include <common/metrics/token_f1.hpp>

namespace programs {

namespace {

// The best over the answers.
template <class Score>
double best(judged_text const& j, Score score) {
  double most = 0;
  for (std::string const& answer : j.answers) most = std::max<double>(most, score(j.prediction, answer));
  return most;
}

template <double (*Score)(std::string_view, std::string_view)>
double best_of(judged_text const& j) {
  return best(j, Score);
}

template <std::size_t N, bool Stems>
double rouge_of(judged_text const& j) {
  return best(j, [](std::string const& p, std::string const& a) { return rouge_n(N, p, a, Stems).f1(); });
}

template <bool Stems>
double rouge_lsum_of(judged_text const& j) {
  return best(j, [](std::string const& p, std::string const& a) { return rouge_lsum(p, a, Stems).f1(); });
}

template <bool Stems>
double rouge_l_of(judged_text const& j) {
  return best(j, [](std::string const& p, std::string const& a) { return rouge_l(p, a, Stems).f1(); });
}

std::vector<std::pair<char const*, metric>> const& all() {
  static std::vector<std::pair<char const*, metric>> const metrics{
      {"exact_match", best_of<exact_match>},
      {"squad_match", best_of<squad_match>},
      {"f1", best_of<token_f1>},
      {"rouge_1", rouge_of<1, false>},
      {"rouge_2", rouge_of<2, false>},
      {"rouge_l", rouge_l_of<false>},
      {"rouge_lsum", rouge_lsum_of<false>},
      {"rouge_1_stem", rouge_of<1, true>},
      {"rouge_2_stem", rouge_of<2, true>},
      {"rouge_l_stem", rouge_l_of<true>},
      {"rouge_lsum_stem", rouge_lsum_of<true>},
      {"bleu", [](judged_text const& j) { return bleu(j.prediction, j.answers); }},
      {"meteor",
       [](judged_text const& j) {
         return best(j, [](std::string const& p, std::string const& a) { return meteor(p, a); });
       }},
      {"meteor_exact",
       [](judged_text const& j) {
         return best(j, [](std::string const& p, std::string const& a) { return meteor(p, a, false); });
       }},
      {"edit_similarity", best_of<edit_similarity>},
      {"string_match_part", [](judged_text const& j) { return string_match_part(j.prediction, j.answers); }},
      {"string_match_all", [](judged_text const& j) { return string_match_all(j.prediction, j.answers); }},
      {"class_match",
       [](judged_text const& j) {
         return best(j, [&](std::string const& p, std::string const& a) { return class_match(p, a, j.classes); });
       }},
      {"count_match", best_of<count_match>},
      {"retrieval_match", best_of<retrieval_match>},
      {"last_number_match", best_of<last_number_match>},
      {"exam_match", best_of<exam_match>},
  };
  return metrics;
}

}  // namespace

bool right_or_wrong(std::string const& name) {
  return name == "exact_match" || name == "squad_match" || name == "string_match_part" || name == "last_number_match";
}

std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for (auto const& [name, unused] : all()) names.emplace_back(name);
  return names;
}

metric find_metric(std::string const& name, std::string const& where) {
  std::string known;
  for (auto const& [one, score] : all()) {
    if (one == name) return score;
    known += (known.empty() ? "" : ", ") + std::string(one);
  }
  throw usage_error(where + " is '" + name + "'; give one of " + known);
}

}  // namespace programs
