// Questions about a document that is read once: `ask build` keeps the cache it leaves, `ask answer` goes on from there.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include <common/cache_file.hpp>
#include <common/json_output.hpp>
#include <common/output_file.hpp>
#include <common/policy_file.hpp>
#include <common/progress.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>
#include <reference_model/io/file_source.hpp>

namespace {

using namespace programs;
using tokens_type = std::vector<std::uint32_t>;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// ---- ask build ----

struct build_arguments {
  shared_options shared;
  std::string document, cut = "middle", cache;
  std::uint64_t max_length = 0, room = 256;
  bool as_json = false;
};

void add_options(command_line& line, build_arguments& a) {
  add_shared_options(line, a.shared, false);
  add_prompt_options(line, a.shared);
  line.add("--document", a.document, "Text file (UTF-8) that questions will be about").required();
  line.add("--max-length", a.max_length, "Tokens of the document that are read, BOS included, at most (all)");
  line.add("--cut", a.cut, "Where a longer document loses tokens: left, middle or right").shows_default();
  line.add("--room", a.room,
           "Tokens that a question and its answer may take: decides whether the model has positions for them")
      .shows_default();
  line.add("--cache", a.cache, "File to write (.safetensors)").required();
  line.add("--json", a.as_json, "Print one JSON object in place of the summary");
  line.example(
      "ask build --document story.txt --policy roco --budget 50% --cache story.safetensors\n"
      "P% is of the document's tokens.");
}

// The document without the tokens that are too many; BOS stays.
tokens_type cut_document(tokens_type tokens, std::uint64_t most, std::string const& cut) {
  if (cut != "left" && cut != "middle" && cut != "right")
    throw usage_error("--cut is '" + cut + "'; give left, middle or right");
  if (most == 0 || tokens.size() <= most) return tokens;
  if (most < 2)
    throw usage_error("--max-length is " + std::to_string(most) +
                      "; give at least 2 tokens, BOS and one of the document");
  std::size_t const goes = tokens.size() - static_cast<std::size_t>(most), stay = static_cast<std::size_t>(most) - 1;
  std::size_t const begin = cut == "left" ? 1 : cut == "right" ? 1 + stay : 1 + (stay + 1) / 2;
  tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(begin),
               tokens.begin() + static_cast<std::ptrdiff_t>(begin + goes));
  return tokens;
}

int build(build_arguments const& a) {
  std::string const words = read_text_file("--document", a.document);
  check_executor(a.shared.executor);
  loaded_model const m = load(a.shared);
  tokens_type const whole = m.text->encode(words);
  tokens_type const document = cut_document(whole, a.max_length, a.cut);
  std::uint64_t const n = document.size();
  policy_choice const choice = choose_one(a.shared, n, n);
  position_plan const plan = plan_positions(a.shared, choice, m, n + a.room, n);
  if (plan.stand != standing::original && plan.stand != standing::in_cache)
    throw usage_error(std::string("--positions is ") + name_of(plan.stand) + "; a cache on disk has original or in_cache, give one of them");
  session run(m.model, choice, session_of(plan, choice, m, a.shared.executor, n));
  auto const begin = std::chrono::steady_clock::now();
  feed_prompt(run, document, plan);
  double const seconds = seconds_since(begin);
  compression const less = run.saved();

  saved_cache saved;
  saved.state = run.save();
  saved.asked = {a.shared.policies.empty() ? "full" : a.shared.policies[0],
                 a.shared.sets,
                 "",
                 a.shared.pin,
                 a.shared.seed,
                 n,
                 a.shared.bound,
                 n,
                 ""};
  if (!a.shared.budgets.empty()) saved.asked.budget = std::to_string(slots_of(a.shared.budgets[0], n));
  if (!is_policy_name(saved.asked.policy)) saved.asked.text = load_policy_object(saved.asked.policy).dump();
  saved.policy_name = choice.name;
  saved.storage = choice.storage;
  saved.first_piece = plan.first_piece;
  saved.in_cache = plan.stand == standing::in_cache;
  saved.model = fingerprint(m.model);
  saved.tokenizer = fingerprint(*m.text);
  saved.document = std::filesystem::path(a.document).filename().string();
  write_cache(a.cache, saved);

  std::uint64_t const bytes = std::filesystem::file_size(a.cache);
  std::size_t const full = full_cache_bytes(m.config(), choice.storage, n);
  std::size_t const slots = saved.state.cache.slots(), heads = std::size_t{m.config().layers} * m.config().kv_heads;
  if (a.as_json) {
    print_now(json_line({{"document", saved.document},
                         {"document_tokens", whole.size()},
                         {"tokens", n},
                         {"policy", choice.name},
                         {"budget", choice.bounded() ? json_value(choice.slots()) : nullptr},
                         {"positions", name_of(plan.stand)},
                         {"slots_per_head", static_cast<double>(slots) / static_cast<double>(heads)},
                         {"cache", a.cache},
                         {"bytes", bytes},
                         {"full_cache_bytes", full},
                         {"compression", less.vectors},
                         {"compression_with_bookkeeping", less.with_bookkeeping},
                         {"seconds", seconds}}));
    return 0;
  }
  std::fprintf(stderr, "%s: %zu tokens", saved.document.c_str(), whole.size());
  if (n < whole.size()) std::fprintf(stderr, ", of which %zu were read (--cut %s)", document.size(), a.cut.c_str());
  std::fprintf(stderr, ", in %.1f s\nkept: %s slots per KV head of %zu, by %s\nsaved: %s\nwritten: %s, %s (a full cache: %s)\n",
               seconds, fixed(static_cast<double>(slots) / static_cast<double>(heads), 1).c_str(), document.size(),
               choice.name.c_str(), in_words(less).c_str(), a.cache.c_str(), human_bytes(static_cast<double>(bytes)).c_str(),
               human_bytes(static_cast<double>(full)).c_str());
  return 0;
}

// ---- ask answer ----

struct answer_arguments {
  shared_options shared;
  std::string cache, question;
  std::uint64_t new_tokens = 64;
  bool make_room = false, as_json = false;
};

void add_options(command_line& line, answer_arguments& a) {
  line.help_column(26);
  line.add("cache", a.cache, "File that `ask build` wrote").required();
  line.add("--question", a.question, "A question, or a .jsonl file of them: {\"question\": ..., \"id\": ...} a line")
      .required();
  line.add("--new-tokens", a.new_tokens, "Tokens of an answer, at most").shows_default();
  line.add("--make-room", a.make_room,
           "Evict for question and answer before the question is read, as StreamingLLM does; else as in decode");
  line.add("--model", a.shared.model, "The model that the cache is of (the shipped checkpoint)");
  line.add("--tokenizer", a.shared.tokenizer, "Folder, tokenizer.json, vocab.json, llama2.c tokenizer.bin, or 'bytes' (the model's own)");
  line.add("--policy", a.shared.policies, "Refuse the cache unless it was built with this policy");
  line.add("--layout", a.shared.layout, "rows or pages, whichever the cache was built in").shows_default();
  line.add("--executor", a.shared.executor, "serial, parallel, parallel:N threads, or cuda in a build with it").shows_default();
  line.add("--json", a.as_json, "Print one JSON object a question");
  line.example(
      "ask answer story.safetensors --question \"Who found the ball? The ball was found by\"\n"
      "Answers are greedy, and every question is asked of the cache as it was built.");
}

struct question {
  json_value id;
  std::string text;
  tokens_type tokens;
};

std::vector<question> read_questions(answer_arguments const& a, reference_model::tokenizer const& text) {
  std::vector<question> all;
  bool const file = a.question.size() > 6 && a.question.substr(a.question.size() - 6) == ".jsonl";
  if (!file) {
    all.push_back({nullptr, require_text(a.question, "--question"), {}});
  } else {
    std::istringstream lines(read_text_file("--question", a.question));
    std::size_t number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      std::string const where = a.question + " line " + std::to_string(number);
      reference_model::json const row = reference_model::parse_object(where, line);
      if (!row.contains("question") || !row["question"].is_string())
        throw reference_model::bad_file(where, "has no string 'question'; give one");
      json_value id = std::uint64_t{number};
      if (row.contains("id"))
        id = row["id"].is_string() ? json_value(row["id"].get<std::string>()) : json_value(row["id"].dump());
      all.push_back({id, require_text(row["question"].get<std::string>(), where), {}});
    }
    if (all.empty()) throw usage_error("--question '" + a.question + "' holds no question; give a line for each");
  }
  for (question& q : all) q.tokens = text.encode(q.text, false);
  return all;
}

int answer(answer_arguments const& a) {
  if (a.new_tokens < 1) throw usage_error("--new-tokens is 0; give at least 1");
  check_executor(a.shared.executor);
  saved_cache const saved = read_cache(a.cache);
  if (a.shared.policies.size() > 1) throw usage_error("--policy is given twice; give one");
  if (!a.shared.policies.empty()) {
    std::string const wanted = shown_name(a.shared.policies[0]);
    if (wanted != saved.policy_name)
      throw usage_error("--policy is " + wanted + "; '" + a.cache + "' was built with " + saved.policy_name +
                        ", build another or leave --policy out");
  }
  loaded_model const m = load(a.shared);
  if (fingerprint(m.model) != saved.model)
    throw usage_error("--model: '" + a.cache + "' was built by another model; give that one, or build the cache again");
  if (fingerprint(*m.text) != saved.tokenizer)
    throw usage_error("--tokenizer: '" + a.cache +
                      "' was built with another tokenizer; give that one, or build the cache again");

  std::vector<question> const questions = read_questions(a, *m.text);
  std::uint64_t longest = 0;
  for (question const& q : questions) longest = std::max<std::uint64_t>(longest, q.tokens.size());
  std::uint64_t const positions = saved.state.seen + longest + a.new_tokens - 1;
  if (!saved.in_cache && positions > m.config().max_positions)
    throw usage_error("--new-tokens is " + std::to_string(a.new_tokens) +
                      "; document, question and answer would have " + std::to_string(positions) +
                      " positions, the model has " + std::to_string(m.config().max_positions) +
                      ": give fewer, or build with --positions in_cache");
  policy_choice const choice = choose_policy(saved.asked);
  session run(m.model, choice,
              {.capacity = static_cast<std::uint32_t>(choice.needed(saved.first_piece, positions + 1)),
               .longest_piece = std::max(saved.first_piece, static_cast<std::uint32_t>(longest)),
               .stand = saved.in_cache ? standing::in_cache : standing::original,
               .in_pages = in_pages(a.shared),
               .executor = a.shared.executor,
               .text = m.text.get()});

  long long done = 0;
  progress shown("questions", static_cast<long long>(questions.size()), a.as_json);
  for (question const& q : questions) {
    try {
      run.restore(saved.state);
    } catch (kvsift::bad_argument const& wrong) {
      throw reference_model::bad_file(a.cache, std::string("does not fit the policy it states: ") + wrong.what());
    }
    auto const begin = std::chrono::steady_clock::now();
    if (a.make_room) run.make_room(static_cast<std::uint32_t>(q.tokens.size() + a.new_tokens));
    if (!a.as_json && questions.size() > 1) print_now("Q: " + q.text + "\nA: ");
    std::string text;
    std::uint64_t tokens = 0;
    float const* logits = run.feed(q.tokens);
    for (std::uint32_t before = q.tokens.back(); tokens < a.new_tokens;) {
      auto const next = static_cast<std::uint32_t>(std::max_element(logits, logits + m.config().vocab) - logits);
      if (m.text->ends(next)) break;
      ++tokens;
      std::string_view const piece = m.text->piece(before, next);
      text += piece;
      if (!a.as_json) print_now(piece);
      if (tokens < a.new_tokens) logits = run.feed(next);
      before = next;
    }
    if (a.as_json)
      print_now(json_line({{"id", q.id},
                           {"question", q.text},
                           {"answer", text},
                           {"tokens", tokens},
                           {"held", run.held(0, 0).size()},
                           {"seconds", seconds_since(begin)}}));
    else
      print_now("\n");
    shown.at(++done);
  }
  return 0;
}

template <class Arguments, class Body>
int command(char const* name, char const* description, int argc, char** argv, Body const& body) {
  command_line line(description);
  Arguments a;
  add_options(line, a);
  std::string shown = name;  // stands for the program's name in --help
  std::vector<char*> rest{shown.data()};
  rest.insert(rest.end(), argv + 2, argv + argc);
  rest.push_back(nullptr);
  if (auto const status = line.parse(static_cast<int>(rest.size()) - 1, rest.data())) return *status;
  return body(a);
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("ask", [&] {
    std::string const what = argc > 1 ? argv[1] : "";
    if (what == "build")
      return command<build_arguments>("ask build", "Reads a document once and keeps the cache that it leaves.", argc,
                                      argv, build);
    if (what == "answer")
      return command<answer_arguments>("ask answer", "Answers questions from a cache that was built.", argc, argv,
                                       answer);
    if (what == "--help" || what == "-h") {
      print_now(
          "Questions about a document that is read once.\n\n  ask build   reads a document and keeps the cache that it "
          "leaves\n"
          "  ask answer  answers questions from there\n\nEach has its own --help. Example:\n"
          "  ask build --document story.txt --policy roco --budget 50% --cache story.safetensors\n"
          "  ask answer story.safetensors --question \"Who found the ball? The ball was found by\"\n");
      return 0;
    }
    throw usage_error(what.empty() ? "say build or answer; see --help"
                                   : "'" + what + "' is neither build nor answer; see --help");
  });
}
