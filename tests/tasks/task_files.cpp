// Task files: rows become prompts and answers as the file says, prompts are cut where it says, and what is wrong is
// named.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <common/tasks/answer.hpp>
#include <common/tasks/task_file.hpp>
#include <programs/process.hpp>
#include <reference_model/model/metrics.hpp>

namespace {

using namespace programs;
using nlohmann::json;

loaded_model const& shipped() {
  static loaded_model const m = load({});
  return m;
}

struct bench {
  temporary_folder folder;

  std::string write(std::string const& name, std::string const& text) const {
    std::ofstream(folder / name, std::ios::binary) << text;
    return (folder / name).string();
  }
  task made(json const& file, std::string const& data = "") const {
    return load_task(write("some_task.json", file.dump()), data);
  }
  std::vector<sample> drawn(json const& file, draw_request const& asked, std::string const& data = "") const {
    return made(file, data).draw(*shipped().text, asked);
  }
};

json simple() {
  return {{"data", "rows.jsonl"},
          {"prompt", "Q: {question}\nA:"},
          {"answers", "{answer}"},
          {"new_tokens", 5},
          {"metrics", "f1"}};
}

std::string text_of(sample const& s) { return shipped().text->decode(s.prompt); }

std::string refusal(auto call) {
  try {
    call();
  } catch (std::exception const& e) {
    return e.what();
  }
  return "taken";
}

TEST_CASE("rows become prompts and answers: JSON Lines, an array, and paragraphs; the order is the seed's") {
  bench const b;
  std::string lines, array;
  for (int i = 0; i < 9; ++i) {
    json const row{{"question", "number " + std::to_string(i) + "?"}, {"answer", i}, {"more", {{"inner", "it"}}}};
    lines += row.dump() + "\n";
    array += (i == 0 ? "[" : ",") + row.dump(1);
  }
  b.write("rows.jsonl", lines + "\n  \n");
  std::string const list = b.write("list.json", "\n " + array + "]");
  auto const samples = b.drawn(simple(), {.seed = 2, .count = 20, .length = 0});
  REQUIRE(samples.size() == 9);  // all there are
  std::set<std::string> seen;
  for (sample const& s : samples) {
    CHECK(text_of(s) == "Q: number " + s.answers[0] + "?\nA:");
    CHECK(s.new_tokens == 5);
    CHECK(std::isnan(s.depth));
    seen.insert(s.answers[0]);
  }
  CHECK(seen.size() == 9);
  auto const same = b.drawn(simple(), {.seed = 2, .count = 4, .length = 0}, list);
  REQUIRE(same.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(same[i].prompt == samples[i].prompt);
  auto const other = b.drawn(simple(), {.seed = 3, .count = 9, .length = 0}, b.folder.string());
  CHECK(!std::equal(other.begin(), other.end(), samples.begin(),
                    [](sample const& x, sample const& y) { return x.prompt == y.prompt; }));

  json dotted = simple();
  dotted["prompt"] = "{more.inner} is {{{question}}}";
  CHECK(text_of(b.drawn(dotted, {.count = 1, .length = 0})[0]).starts_with("it is {number "));

  json paragraphs = simple();
  paragraphs["prompt"] = "{text}";
  paragraphs["answers"] = {"{text}", "x"};
  auto const texts = b.drawn(paragraphs, {.count = 5, .length = 0}, b.write("a.txt", "One.\nTwo.\n\n\n\n\nThree.\n"));
  REQUIRE(texts.size() == 2);
  std::set<std::string> const both{text_of(texts[0]), text_of(texts[1])};
  CHECK(both == std::set<std::string>{"One.\nTwo.", "Three."});
  CHECK(texts[0].answers.size() == 2);
}

TEST_CASE("lists: several answers, classes, and lists walked together") {
  bench const b;
  b.write("rows.jsonl", R"({"question": "q", "answer": ["a", "b"], "all": ["a", "b", "c"]})");
  json file = simple();
  file["classes"] = "{all}";
  auto const one = b.drawn(file, {.count = 3, .length = 0});
  REQUIRE(one.size() == 1);
  CHECK(one[0].answers == std::vector<std::string>{"a", "b"});
  CHECK(one[0].classes == std::vector<std::string>{"a", "b", "c"});
  file = simple();
  file["each"] = {"question", "answer"};
  b.write("rows.jsonl",
          "{\"question\": [\"p\", \"q\"], \"answer\": [\"x\", \"y\"]}\n{\"question\": [\"r\"], \"answer\": [\"z\"]}\n");
  std::set<std::string> seen;
  for (sample const& s : b.drawn(file, {.count = 9, .length = 0})) seen.insert(text_of(s) + s.answers[0]);
  CHECK(seen == std::set<std::string>{"Q: p\nA:x", "Q: q\nA:y", "Q: r\nA:z"});
}

TEST_CASE("prompts are cut to the length: at a side of the whole or of a field, never the rest") {
  bench const b;
  std::string words;
  for (int i = 0; i < 300; ++i) words += (i == 0 ? "w" : " w") + std::to_string(i);
  b.write("rows.jsonl", json{{"question", words}, {"answer", "x"}}.dump());
  auto const cut = [&](json const& how, std::size_t length) {
    json file = simple();
    file["cut"] = how;
    auto const s = b.drawn(file, {.count = 1, .length = length})[0];
    CHECK(s.tokens() <= length);
    CHECK(s.tokens() > length - 6);
    CHECK(s.prompt.front() == shipped().text->bos());
    return text_of(s);
  };
  auto const has = [](std::string const& text, std::string const& part) {
    return text.find(part) != std::string::npos;
  };
  for (std::size_t const length : {100u, 101u, 300u}) {
    std::string const right = cut({{"side", "right"}, {"field", "question"}}, length);
    CHECK(right.starts_with("Q: w0 w1 w2"));
    CHECK(right.ends_with("\nA:"));
    CHECK(!has(right, "w299"));
    std::string const left = cut({{"side", "left"}, {"field", "question"}}, length);
    CHECK(left.starts_with("Q: "));
    CHECK(left.ends_with("w298 w299\nA:"));
    CHECK(!has(left, " w0 "));
    std::string const middle = cut({{"side", "middle"}, {"field", "question"}}, length);
    CHECK(middle.starts_with("Q: w0 w1 w2"));
    CHECK(middle.ends_with("w298 w299\nA:"));
    CHECK(!has(middle, " w150 "));
    CHECK(cut({{"side", "middle"}}, length).starts_with("Q: w0 w1"));
    CHECK(cut({{"side", "left"}}, length).ends_with("w299\nA:"));
    CHECK(!has(cut({{"side", "left"}}, length), "Q:"));
    CHECK(!has(cut({{"side", "right"}}, length), "A:"));
  }
  json file = simple();
  CHECK(refusal([&] {
          b.drawn(file, {.count = 1, .length = 100});
        }).find("give a longer --length, or cut in the task file") != std::string::npos);
  file["cut"] = {{"side", "left"}, {"field", "question"}};
  CHECK(refusal([&] { b.drawn(file, {.count = 1, .length = 9}); }).find("even without 'question'") !=
        std::string::npos);
}

TEST_CASE("choices: the likeliest behind the cache that the policy left, its last token fed alone") {
  bench const b;
  loaded_model const& m = shipped();
  std::string story;
  for (int i = 0; i < 12; ++i) story += "The code of the fox is 482. The grass is green. ";
  b.write("rows.jsonl",
          json{{"question", story + "What is the code of the fox? The code of the fox is "}, {"answer", "482"}}.dump());
  json file = simple();
  file.erase("new_tokens");
  file["prompt"] = "{question}";
  file["choices"] = {"915", "482", "77", "The grass"};
  file["metrics"] = "exact_match";
  task const t = b.made(file);
  auto const samples = t.draw(*m.text, {.count = 1, .length = 0});
  REQUIRE(samples[0].choices.size() == 4);
  for (std::string const policy : {"full", "roco", "streaming_llm"}) {
    shared_options o;
    o.policies = {policy};
    if (policy != "full") o.budgets = {"40"};
    policy_choice const choice = choose_one(o, 100, samples[0].prompt.size());
    auto const plan = plan_samples(o, choice, m, samples);
    std::string const got =
        answer_all(m, choice, plan, samples, 0, "serial", false, [](std::size_t, answered const&) {}).each[0].text;
    // Each choice again, in a session of its own.
    std::string best;
    double least = 1e30;
    for (std::string const& one : samples[0].choices) {
      session run(m.model, choice, session_of(plan, choice, m, "serial", samples[0].tokens()));
      auto const& prompt = samples[0].prompt;
      run.feed({prompt.data(), prompt.size() - 1});
      float const* logits = run.feed(prompt.back());
      double nll = 0;
      for (std::uint32_t const token : m.text->encode(one, false)) {
        nll += reference_model::negative_log_likelihood(logits, m.config().vocab, token);
        logits = run.feed(token);
      }
      if (nll < least) best = one, least = nll;
    }
    INFO(policy);
    CHECK(got == best);
    if (policy == "full") CHECK(t.score(got, samples[0]) == 1);
  }
}

TEST_CASE("what is wrong with a task file is said in one line") {
  bench const b;
  b.write("rows.jsonl", R"({"question": "q", "answer": "a", "list": [1], "object": {}})");
  std::string const path = (b.folder / "some_task.json").string(), data = (b.folder / "rows.jsonl").string();
  auto const without = [&](std::string const& key, json const& value) {
    json file = simple();
    if (value.is_null())
      file.erase(key);
    else
      file[key] = value;
    return refusal([&] { b.drawn(file, {.count = 1, .length = 0}); });
  };
  CHECK(without("about", "me") == "taken");
  CHECK(without("promt", "x") == path +
                                     ": promt is unknown; a task file has about, data, each, prompt, answers, classes, "
                                     "choices, cut, length, new_tokens, stop, metrics");
  CHECK(without("prompt", nullptr) == path + ": prompt is missing or no text; give a string");
  CHECK(without("prompt", "{qestion}") == path +
                                              ": prompt names the field 'qestion', which row 1 of the data is without; "
                                              "it has answer, list, object, question");
  CHECK(without("prompt", "{object}") ==
        path +
            ": prompt writes the field 'object', which is no text in row 1; name a field of it, or walk it with each");
  CHECK(without("prompt", "{question") == path + ": prompt has a { without a field and }; write {{ for a brace");
  CHECK(without("prompt", "question}") == path + ": prompt has a } without {; write }} for a brace");
  CHECK(without("answers", nullptr) == path + ": answers is missing; give a template or several");
  CHECK(without("answers", 3) == path + ": answers is no text and no list of texts; give one of them");
  CHECK(without("metrics", "beauty").starts_with(path + ": metrics is 'beauty'; give one of exact_match, "));
  CHECK(without("new_tokens", 0) == path + ": new_tokens is missing or no number from 1 on; give one");
  CHECK(without("new_tokens", -1) == path + ": new_tokens is missing or no number from 1 on; give one");
  CHECK(without("choices", {"a"}) ==
        path + ": new_tokens is given with choices, of which the likeliest is taken; give one of the two");
  CHECK(without("cut", {{"side", "top"}}) == path + ": cut side is 'top'; give left, middle or right");
  CHECK(without("cut", {{"side", "left"}, {"field", "answer"}}) ==
        path + ": cut field is 'answer'; prompt does not name it");
  CHECK(without("cut", {{"sied", "left"}}) == path + ": sied is unknown; a task file has side, field");
  CHECK(without("each", {"question"}) == data + ": row 1: 'question', which " + path + " walks with each, is no list");
  CHECK(without("data", "other.jsonl").starts_with((b.folder / "other.jsonl").string() + ": "));
  b.write("rows.jsonl", "{\"question\": \"q\", \"answer\": \"a\"}\n[1]\n");
  CHECK(refusal([&] { b.drawn(simple(), {.count = 1, .length = 0}); }) ==
        data + ": row 2 is no JSON object; give JSON Lines or an array of objects");
  b.write("rows.jsonl", "\n\n");
  CHECK(refusal([&] { b.drawn(simple(), {.count = 1, .length = 0}); }).starts_with(data + ": has no rows; "));
  CHECK(refusal([&] { load_task(b.write("x.json", "[]"), ""); }).find("is no JSON object; ") != std::string::npos);
}

TEST_CASE("every task file that is shipped reads a row with the fields of its data set") {
  json const row{{"input", "in"},
                 {"context", "con"},
                 {"answers", {"Paragraph 3", "5"}},
                 {"all_classes", {"a", "b"}},
                 {"instructions", {"i", "j"}},
                 {"outputs", {"A", "7"}},
                 {"question", "q"},
                 {"answer", "so 4\n#### 4"},
                 {"Question", "q"},
                 {"A", "1"},
                 {"B", "2"},
                 {"C", "3"},
                 {"D", "4"},
                 {"Answer", "B"},
                 {"options", {{"A", "1"}, {"B", "2"}, {"C", "3"}, {"D", "4"}}},
                 {"answer_idx", "C"},
                 {"document", "doc"},
                 {"summary", "sum"},
                 {"article", "art"},
                 {"highlights", "high"},
                 {"instruction", "do"},
                 {"output", "done"},
                 {"text", "a text"}};
  bench const b;
  std::string const data = b.write("row.jsonl", row.dump());
  std::size_t files = 0;
  for (auto const& entry : std::filesystem::recursive_directory_iterator(KVSIFT_SOURCE_DIR "/examples/tasks")) {
    if (entry.path().extension() != ".json") continue;
    ++files;
    std::string const name =
        std::filesystem::relative(entry.path(), KVSIFT_SOURCE_DIR "/examples/tasks").replace_extension().string();
    INFO(name);
    task const t = find_task(name, {.data = data});
    auto const samples = t.draw(*shipped().text, {.count = 3, .length = t.usual_length});
    CHECK(samples.size() == (name.starts_with("leval") ? 2 : 1));
    for (sample const& s : samples) {
      CHECK(!s.answers.empty());
      CHECK(s.prompt.size() > 4);
      if (name.starts_with("longbench") || name == "gsm8k_mc" || name == "medqa_mc" || name == "leval_exam") {
        double most = 0;  // one of its answers, written so, is right
        for (std::string const& answer : s.answers) most = std::max(most, t.score(answer, s));
        if (name != "longbench/trec" && name != "leval_exam") CHECK(most == 1);
      }
    }
  }
  CHECK(files == 26);
}

}  // namespace
