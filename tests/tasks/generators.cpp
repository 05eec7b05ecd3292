// Every generated task: its answer follows from its prompt, by a reading of the prompt that shares nothing with the
// generator.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <common/passkey_task.hpp>
#include <common/tasks/answer.hpp>
#include <common/tasks/recall_words.hpp>
#include <common/tasks/task.hpp>
#include <support/seeds.hpp>

namespace {

using namespace programs;

loaded_model const& shipped() {
  static loaded_model const m = load({});
  return m;
}

std::vector<sample> drawn(std::string const& name, draw_request const& asked) {
  return find_task(name, {}).draw(*shipped().text, asked);
}

std::vector<std::vector<std::string>> found(std::string const& text, std::string const& pattern) {
  std::vector<std::vector<std::string>> all;
  std::regex const regex(pattern);
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at)
    all.emplace_back(at->begin() + 1, at->end());
  return all;
}

// Calls check(text of the prompt, sample, its number).
template <class Check>
void each_prompt(std::string const& name, Check check) {
  support::for_each_seed(2, [&](std::uint64_t seed) {
    for (std::size_t const length : {400u, 900u}) {
      auto const samples = drawn(name, {.seed = seed, .count = 6, .length = length, .depths = 3});
      REQUIRE(samples.size() == 6);
      for (std::size_t i = 0; i < 6; ++i) {
        INFO(name, " of ", length, " tokens, sample ", i);
        check(shipped().text->decode(samples[i].prompt), samples[i], i);
      }
    }
  });
}

TEST_CASE("prompts fill their length, begin with BOS, and the same seed gives the same ones however many are drawn") {
  for (std::string const& name : generated_tasks()) {
    for (std::size_t const length : {400u, 900u}) {
      INFO(name, " of ", length, " tokens");
      draw_request asked{.seed = 3, .count = 7, .length = length, .depths = 3};
      auto const samples = drawn(name, asked);
      REQUIRE(samples.size() == 7);
      for (sample const& s : samples) {
        CHECK(s.prompt.front() == shipped().text->bos());
        CHECK(s.tokens() <= length + (name == "passkey" ? 2 : 0));  // passkey leaves room for the digits and one more
        CHECK(s.tokens() > length - length / 8);
        CHECK(!s.answers.empty());
      }
      asked.count = 4;
      auto const fewer = drawn(name, asked);
      for (std::size_t i = 0; i < 4; ++i) CHECK(fewer[i].prompt == samples[i].prompt);
      asked.seed = 4;
      CHECK(drawn(name, asked)[0].prompt != samples[0].prompt);
      CHECK(samples[1].prompt != samples[0].prompt);
    }
  }
}

TEST_CASE("needle and multi_key: the number of the word that is asked for, at its depth") {
  for (std::string const name : {"needle", "multi_key", "multi_key:9"}) {
    std::size_t const keys = name == "needle" ? 1 : name == "multi_key" ? 4 : 9;
    each_prompt(name, [&](std::string const& text, sample const& s, std::size_t i) {
      auto const needles = found(text, "The pass key of the ([a-z]+) is ([0-9]{5})\\. ");
      auto const asked = found(text, "What is the pass key of the ([a-z]+)\\? The pass key of the ([a-z]+) is $");
      REQUIRE(needles.size() == keys);
      REQUIRE(asked.size() == 1);
      CHECK(asked[0][0] == asked[0][1]);
      std::vector<std::string> numbers;
      for (auto const& n : needles)
        if (n[0] == asked[0][0]) numbers.push_back(n[1]);
      CHECK(numbers == s.answers);
      CHECK(s.depth == static_cast<double>(i % 3) / 2);
      double const at = static_cast<double>(text.find(s.answers[0])) / static_cast<double>(text.size());
      CHECK(std::abs(at - s.depth) < (keys == 9 ? 0.35 : 0.15));
    });
  }
}

TEST_CASE("multi_value: all numbers of the word, among those of others") {
  for (std::string const name : {"multi_value", "multi_value:3"})
    each_prompt(name, [&](std::string const& text, sample const& s, std::size_t) {
      std::size_t const values = name == "multi_value" ? 2 : 3;
      auto const needles = found(text, "The pass key of the ([a-z]+) is ([0-9]{5})\\. ");
      auto const asked = found(text, "What are the pass keys of the ([a-z]+)\\? The pass keys of the ([a-z]+) are $");
      REQUIRE(asked.size() == 1);
      CHECK(needles.size() == 2 * values);
      std::multiset<std::string> numbers;
      for (auto const& n : needles)
        if (n[0] == asked[0][1]) numbers.insert(n[1]);
      CHECK(numbers == std::multiset<std::string>(s.answers.begin(), s.answers.end()));
    });
}

TEST_CASE("key_value: the number of the word, each word once") {
  each_prompt("key_value", [&](std::string const& text, sample const& s, std::size_t i) {
    auto const pairs = found(text, "The code of the ([a-z]+) is ([0-9]{3})\\. ");
    auto const asked = found(text, "What is the code of the ([a-z]+)\\? The code of the ([a-z]+) is $");
    REQUIRE(asked.size() == 1);
    std::map<std::string, std::string> codes;
    for (auto const& p : pairs) CHECK(codes.emplace(p[0], p[1]).second);
    CHECK(codes.at(asked[0][1]) == s.answers[0]);
    if (i % 3 == 0) CHECK(pairs.front()[0] == asked[0][0]);
    if (i % 3 == 2) CHECK(pairs.back()[0] == asked[0][0]);
  });
}

TEST_CASE("variable_tracking: the chain leads to the number, each step behind the one it names") {
  for (std::string const name : {"variable_tracking", "variable_tracking:5"})
    each_prompt(name, [&](std::string const& text, sample const& s, std::size_t) {
      std::size_t const hops = name == "variable_tracking" ? 2 : 5;
      auto const asked = found(text, "What is the code of the ([a-z]+)\\? The code of the ([a-z]+) is $");
      REQUIRE(asked.size() == 1);
      std::map<std::string, std::string> value;
      for (auto const& f : found(text.substr(0, text.find("What is")),
                                 "The code of the ([a-z]+) is (the code of the ([a-z]+)|[0-9]{3})\\. ")) {
        bool const step = f[1].size() > 3;
        if (step) REQUIRE(value.count(f[2]) == 1);
        value[f[0]] = step ? value.at(f[2]) : f[1];
      }
      CHECK(value.size() == 2 * (hops + 1));
      CHECK(value.at(asked[0][1]) == s.answers[0]);
      std::set<std::string> different;
      for (auto const& [word, code] : value) different.insert(code);
      CHECK(different.size() == 2);
    });
}

TEST_CASE("common_words: the words that come most often, far ahead of the others") {
  for (std::string const name : {"common_words", "common_words:5"})
    each_prompt(name, [&](std::string const& text, sample const& s, std::size_t) {
      std::size_t const common = name == "common_words" ? 3 : 5;
      CHECK(text.ends_with(" The " + std::to_string(common) + " most common words are "));
      std::map<std::string, std::size_t> counts;
      std::istringstream words(text.substr(0, text.rfind(" The ")));
      for (std::string word; words >> word;) ++counts[word];
      std::vector<std::pair<std::size_t, std::string>> order;
      for (auto const& [word, count] : counts) order.emplace_back(count, word);
      std::sort(order.rbegin(), order.rend());
      REQUIRE(order.size() > 2 * common);
      CHECK(order[common - 1].first > 4 * order[common].first);
      std::set<std::string> most;
      for (std::size_t k = 0; k < common; ++k) most.insert(order[k].second);
      CHECK(most == std::set<std::string>(s.answers.begin(), s.answers.end()));
    });
}

TEST_CASE("reconstruction: the text twice, of drawn words and of a given text") {
  std::string running;
  for (int i = 0; i < 300; ++i) running += "Sentence number " + std::to_string(i) + " ends. ";
  for (std::string const& haystack : {std::string(), running}) {
    auto const samples =
        find_task("reconstruction", {.haystack = haystack}).draw(*shipped().text, {.count = 4, .length = 300});
    for (sample const& s : samples) {
      std::string const text = shipped().text->decode(s.prompt);
      std::string const rest = " " + s.answers[0];
      std::size_t const at = text.find(rest);
      REQUIRE(at != std::string::npos);
      CHECK(text == text.substr(0, at) + rest + " " + text.substr(0, at));
      CHECK(s.prompt.size() + s.new_tokens == shipped().text->encode(text + rest).size());
    }
  }
}

TEST_CASE("a haystack of one's own: needles stand between its sentences, which stay in order") {
  std::string running;
  for (int i = 0; i < 90; ++i) running += "Number " + std::to_string(i) + " it is. ";
  auto const samples = find_task("multi_key", {.haystack = running}).draw(*shipped().text, {.count = 3, .length = 400});
  for (sample const& s : samples) {
    auto const numbers = found(shipped().text->decode(s.prompt), "Number ([0-9]+) it is\\.");
    REQUIRE(numbers.size() > 10);
    for (std::size_t i = 1; i < numbers.size(); ++i)
      CHECK(std::stoi(numbers[i][0]) == (std::stoi(numbers[i - 1][0]) + 1) % 90);
  }
}

TEST_CASE("passkey as a task has the prompts and the answers of the program passkey") {
  loaded_model const& m = shipped();
  passkey_set const set = draw_passkeys(m, 7, 5, 3, 300);
  auto const samples = drawn("passkey", {.seed = 7, .count = 5, .length = 300, .depths = 3});
  shared_options options;
  options.policies = {"roco"};
  options.budgets = {"40%"};
  policy_choice const choice = choose_one(options, 300, set.longest);
  passkey_answers const theirs = find_passkeys(m, choice, plan_passkeys(options, choice, m, set), set, "serial", [] {});
  task_answers const ours = answer_all(m, choice, plan_samples(options, choice, m, samples), samples, 0, "serial",
                                       false, [](std::size_t, answered const&) {});
  REQUIRE(ours.each.size() == 5);
  compression saved;
  for (answered const& one : ours.each) saved += one.saved;
  saved /= 5;
  CHECK(saved.vectors == theirs.saved.vectors);
  std::size_t right = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    CHECK(samples[i].prompt == set.prompts[i].tokens);
    CHECK(samples[i].depth == set.prompts[i].depth);
    CHECK(ours.each[i].text == theirs.answers[i]);
    CHECK((find_task("passkey", {}).score(ours.each[i].text, samples[i]) == 1) == theirs.right(i, set));
    right += theirs.right(i, set) ? 1u : 0u;
  }
  CHECK(right > 0);
}

TEST_CASE("the words are those that the shipped model was trained on") {
  std::ifstream file(KVSIFT_SOURCE_DIR "/reference_model/train/tasks.py");
  std::string const text((std::istreambuf_iterator<char>(file)), {});
  std::size_t const begin = text.find("WORDS = \"\"\"") + 11;
  std::istringstream words(text.substr(begin, text.find("\"\"\"", begin) - begin));
  std::vector<std::string> trained;
  for (std::string word; words >> word;) trained.push_back(word);
  CHECK(trained == recall_words());
  for (std::string const& word : recall_words()) CHECK(shipped().text->encode(word, false).size() == 1);
}

std::string refusal(auto call) {
  try {
    call();
  } catch (std::exception const& e) {
    return e.what();
  }
  return "taken";
}

TEST_CASE("tasks there are not, numbers they do not take, and prompts without room are refused") {
  CHECK(refusal([] { find_task("chess", {}); }) ==
        "--tasks is 'chess'; give perplexity, a task file (.json), one that is shipped, prompts (.jsonl), or one of passkey, needle, "
        "multi_key, multi_value, key_value, "
        "variable_tracking, common_words, reconstruction");
  CHECK(refusal([] { find_task("needle:3", {}); }) == "--tasks is 'needle:3'; needle takes no number, give it alone");
  CHECK(refusal([] { find_task("multi_key:1", {}); }) ==
        "--tasks is 'multi_key:1'; give multi_key:N with N from 2 to 100");
  CHECK(refusal([] { find_task("multi_key:x", {}); }) ==
        "--tasks is 'multi_key:x'; give multi_key:N with N from 2 to 100");
  for (std::string const& name : generated_tasks())
    CHECK(refusal([&] { drawn(name, {.length = 15}); }).starts_with("--length is 15; "));
}

}  // namespace
