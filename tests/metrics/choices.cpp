// The metrics that look for an answer in a prediction: strings, classes, numbers, letters.

#include <doctest/doctest.h>

#include <common/metrics/class_match.hpp>
#include <common/metrics/exam_match.hpp>
#include <common/metrics/number_match.hpp>
#include <common/metrics/string_match.hpp>

namespace {

using namespace programs;

TEST_CASE("strings: any of the answers, or the share of them, whatever the case") {
  CHECK(string_match_all("The keys: ABC and 42.", {"abc", "42", "43"}) == doctest::Approx(2.0 / 3));
  CHECK(string_match_part("The keys: ABC and 42.", {"43", "abc"}) == 1);
  CHECK(string_match_part("nothing", {"43", "abc"}) == 0);
  CHECK(string_match_all("", {"a"}) == 0);
  CHECK(string_match_all("a", {}) == 0);
  CHECK(string_match_all("a\x01"
                         "b",
                         {"a\nb"}) == 1);
  CHECK(string_match_all("ab", {"a\nb"}) == 0);
}

TEST_CASE("classes: shared among those named, a name within the answer's name is not another") {
  std::vector<std::string> const classes{"Number of people", "People", "Number", "City"};
  CHECK(class_match("City", "City", classes) == 1);
  CHECK(class_match("City or People", "City", classes) == 0.5);
  CHECK(class_match("Number of people", "Number of people", classes) == 1);
  CHECK(class_match("Number", "Number of people", classes) == 0);
  CHECK(class_match("", "City", classes) == 0);
  CHECK(class_match("City", "Town", classes) == 0);
}

TEST_CASE("numbers: the share of those named that are the answer") {
  CHECK(count_match("There are 12 of them", "12") == 1);
  CHECK(count_match("12 or 13, no, 12", "12") == doctest::Approx(2.0 / 3));
  CHECK(count_match("none", "0") == 0);
  CHECK(count_match("012", "12") == 0);
  CHECK(retrieval_match("Paragraph 7", "Paragraph 7") == 1);
  CHECK(retrieval_match("7, 8", "Paragraph 7") == 0.5);
  CHECK(retrieval_match("7", "Paragraph") == 0);
}

TEST_CASE("the last number is what counts of a worked answer") {
  CHECK(last_number_match("2 + 2 = 4. The answer is 1,000.", "so it is\n#### 1000") == 1);
  CHECK(last_number_match("4 and then 5", "4") == 0);
  CHECK(last_number_match("It costs $3.50", "3.5") == 1);
  CHECK(last_number_match("It costs 3.5.", "3.50") == 1);
  CHECK(last_number_match("minus -3", "3") == 0);
  CHECK(last_number_match("from 5-3", "3") == 1);
  CHECK(last_number_match("nothing", "3") == 0);
  CHECK(last_number_match("10, 20", "20") == 1);
  CHECK(last_number_match("100", "1") == 0);
}

TEST_CASE("exams: the letters chosen, a quarter for a part of several") {
  CHECK(exam_match("B", "B") == 1);
  CHECK(exam_match("The answer is (B).", "B") == 1);
  CHECK(exam_match("A good question. B", "B") == 1);
  CHECK(exam_match("B. Because A is wrong", "B") == 1);
  CHECK(exam_match("A, C", "AC") == 1);
  CHECK(exam_match("C and A", "AC") == 1);
  CHECK(exam_match("A", "AC") == 0.25);
  CHECK(exam_match("AB", "AC") == 0);
  CHECK(exam_match("ABC", "AC") == 0);
  CHECK(exam_match("All of them", "A") == 0);
  CHECK(exam_match("", "A") == 0);
  CHECK(exam_match("b", "B") == 0);
}

}  // namespace
