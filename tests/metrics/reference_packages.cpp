// The metrics against what rouge-score, sacrebleu, NLTK and rapidfuzz say of the same texts
// (tests/data/metrics/make.py).

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <common/metrics/bleu.hpp>
#include <common/metrics/edit_similarity.hpp>
#include <common/metrics/exact_match.hpp>
#include <common/metrics/meteor.hpp>
#include <common/metrics/porter_stemmer.hpp>
#include <common/metrics/rouge.hpp>
#include <common/metrics/token_f1.hpp>

namespace {

using nlohmann::json;
using namespace programs;

json const& reference() {
  static json const all = [] {
    std::ifstream file(KVSIFT_SOURCE_DIR "/tests/data/metrics/cases.json");
    REQUIRE(file);
    return json::parse(file);
  }();
  return all;
}

bool ascii(std::string const& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

doctest::Approx near(json const& value) { return doctest::Approx(value.get<double>()).epsilon(1e-10); }

// Calls check(prediction, answer, row, index of the answer). What is not ASCII needs ICU.
template <class Check>
void each_answer(Check check) {
  REQUIRE(reference()["cases"].size() >= 50);
  for (json const& row : reference()["cases"]) {
    std::string const prediction = row["prediction"];
    for (std::size_t i = 0; i < row["answers"].size(); ++i) {
      std::string const answer = row["answers"][i];
      if (!reference_model::has_unicode() && !(ascii(prediction) && ascii(answer))) continue;
      INFO("'", prediction, "' for '", answer, "'");
      check(prediction, answer, row, i);
    }
  }
}

TEST_CASE("stems are NLTK's") {
  REQUIRE(reference()["stems"].size() > 100);
  for (auto const& item : reference()["stems"].items()) {
    INFO(item.key());
    CHECK(porter_stem(item.key()) == item.value().get<std::string>());
  }
}

TEST_CASE("ROUGE is rouge-score's, with stems and without") {
  each_answer([](std::string const& p, std::string const& a, json const& row, std::size_t i) {
    for (bool const stems : {false, true}) {
      json const& want = row[stems ? "rouge_stem" : "rouge"][i];
      overlap const got[] = {rouge_n(1, p, a, stems), rouge_n(2, p, a, stems), rouge_l(p, a, stems),
                             rouge_lsum(p, a, stems)};
      for (std::size_t k = 0; k < 4; ++k) {
        CHECK(got[k].precision == near(want[2 * k]));
        CHECK(got[k].recall == near(want[2 * k + 1]));
      }
    }
  });
}

TEST_CASE("BLEU is sacrebleu's, of sentences and of a corpus, with one answer and with two") {
  bleu_counts corpus, corpus_of_two;
  for (json const& row : reference()["cases"]) {
    std::string const prediction = row["prediction"];
    INFO(prediction);
    auto const answers = row["answers"].get<std::vector<std::string>>();
    CHECK(bleu(prediction, answers) == near(row["bleu"]));
    corpus += count_bleu(prediction, {answers[0]});
    if (answers.size() >= 2) corpus_of_two += count_bleu(prediction, {answers[0], answers[1]});
  }
  CHECK(corpus.score(false) == near(reference()["corpus_bleu"]));
  CHECK(corpus_of_two.score(false) == near(reference()["corpus_bleu_of_two"]));
}

TEST_CASE("METEOR is NLTK's without synonyms") {
  each_answer([](std::string const& p, std::string const& a, json const& row, std::size_t i) {
    CHECK(meteor(p, a) == near(row["meteor"][i]));
    CHECK(meteor(p, a, false) == near(row["meteor_exact"][i]));
  });
}

TEST_CASE("SQuAD's match and F1, and the ratio of edits") {
  each_answer([](std::string const& p, std::string const& a, json const& row, std::size_t i) {
    CHECK(squad_match(p, a) == near(row["squad"][i]));
    CHECK(token_f1(p, a) == near(row["f1"][i]));
    CHECK(edit_similarity(p, a) == near(row["edit"][i]));
  });
}

TEST_CASE("a longer text is scored alike from both sides") {
  std::string const a = "One two, three. Four!", b = "four three TWO";
  CHECK(token_f1(a, b) == doctest::Approx(token_f1(b, a)));
  CHECK(rouge_l(a, b).precision == doctest::Approx(rouge_l(b, a).recall));
  CHECK(edit_similarity(a, b) == doctest::Approx(edit_similarity(b, a)));
  CHECK(exact_match(" one\ttwo ", "one two") == 1);
  CHECK(exact_match("One two", "one two") == 0);
}

}  // namespace
