// ask, as a process, and the file between its two commands: answers depend on the document alone, a cut or damaged file
// is refused.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <common/cache_file.hpp>
#include <reference_model/io/load_model.hpp>
#include <support/files.hpp>
#include <support/random_trace.hpp>
#include <support/seeds.hpp>

#include "process.hpp"
#include "tiny_model.hpp"

namespace {

using arguments = std::vector<std::string>;
using nlohmann::json;

struct library_of_one {
  tiny_model model;
  temporary_folder folder;
  std::string document = (folder / "document.txt").string(), cache = (folder / "cache.safetensors").string();

  library_of_one() { std::ofstream(document) << "the quick brown fox jumps over"; }

  finished build(arguments a) const {
    a.insert(a.begin(), {"build", "--model", model.path(), "--document", document, "--cache", cache, "--room", "20"});
    return run_program("ask", a);
  }
  finished answer(arguments a, std::string const& file = "") const {
    a.insert(a.begin(), {"answer", file.empty() ? cache : file, "--model", model.path(), "--new-tokens", "6"});
    return run_program("ask", a);
  }
  std::vector<std::string> answers(arguments const& a) const {
    arguments all = a;
    all.push_back("--json");
    finished const f = answer(all);
    INFO(f.err);
    REQUIRE(f.status == 0);
    std::vector<std::string> texts;
    std::istringstream lines(f.out);
    for (std::string line; std::getline(lines, line);) texts.push_back(json::parse(line)["answer"]);
    return texts;
  }
};

TEST_CASE("every question is asked of the cache as it was built, whatever policy, storage and positions it has") {
  library_of_one const l;
  std::string const both = (l.folder / "q.jsonl").string(), turned = (l.folder / "r.jsonl").string();
  std::ofstream(both) << "{\"question\": \"what?\"}\n\n{\"question\": \"lazy dog\", \"id\": \"b\"}\n";
  std::ofstream(turned) << "{\"question\": \"lazy dog\", \"id\": \"b\"}\n{\"question\": \"what?\"}\n";
  for (char const* policy : {"full", "roco", "heavy_hitter", "lsh", "key_norm", "snapkv", "ada_snapkv", "strided",
                             "reservoir", "streaming_llm", "keydiff", "expected_attention", "hybrid", "fastgen"})
    for (arguments const& more :
         {arguments{}, {"--set", "storage=bf16", "--positions", "in_cache"}, {"--set", "storage=fp8"}, {"--set", "storage=int8"}}) {
      CAPTURE(policy);
      arguments a{"--policy", policy};
      bool const bounded = programs::choose_policy({.policy = policy, .budget = "18"}).bounded();
      if (bounded) a.insert(a.end(), {"--budget", "18"});
      a.insert(a.end(), more.begin(), more.end());
      finished const built = l.build(a);
      INFO(built.err);
      if (std::string(policy) == "expected_attention" && more.size() == 4) {
        CHECK(built.err.find("take original_positions") != std::string::npos);
        continue;
      }
      REQUIRE(built.status == 0);
      auto const together = l.answers({"--question", both}), other_way = l.answers({"--question", turned});
      REQUIRE(together.size() == 2);
      CHECK(together[0] == l.answers({"--question", "what?"})[0]);
      CHECK(together[1] == l.answers({"--question", "lazy dog", "--executor", "parallel:2"})[0]);
      CHECK(other_way[0] == together[1]);
      CHECK(other_way[1] == together[0]);
    }
}

TEST_CASE("answers are those of a session that read the document itself") {
  library_of_one const l;
  REQUIRE(l.build({"--policy", "roco", "--budget", "18"}).status == 0);
  std::string const answer = l.answers({"--question", "what?"})[0];

  programs::shared_options o;
  o.model = l.model.path();
  programs::loaded_model const m = programs::load(o);
  programs::policy_choice const choice = programs::choose_policy({.policy = "roco", .budget = "18"});
  auto document = m.text->encode(support::read_file(l.document));
  auto const question = m.text->encode("what?", false);
  programs::session run(m.model, choice, {.longest_piece = 64});
  run.feed(document);
  float const* logits = run.feed(question);
  std::string want;
  std::uint32_t before = question.back();
  for (int i = 0; i < 6; ++i) {
    auto const next = static_cast<std::uint32_t>(std::max_element(logits, logits + m.config().vocab) - logits);
    if (m.text->ends(next)) break;
    want += m.text->piece(before, next);
    logits = run.feed(next);
    before = next;
  }
  // JSON replaces bytes that are no UTF-8; the untrained model writes some.
  CHECK(json(answer).dump() ==
        json(json::parse(json(want).dump(-1, ' ', false, json::error_handler_t::replace)).get<std::string>()).dump());
}

TEST_CASE("--cut says where a document loses tokens") {
  library_of_one const l;
  auto const read = [&](char const* cut) {
    finished const f = l.build({"--max-length", "7", "--cut", cut});  // BOS and six bytes
    REQUIRE(f.status == 0);
    return l.answers({"--question", "?"})[0];
  };
  std::string const left = read("left"), middle = read("middle"), right = read("right");
  auto const of = [&](char const* text) {
    std::ofstream(l.document) << text;
    REQUIRE(l.build({}).status == 0);
    return l.answers({"--question", "?"})[0];
  };
  CHECK(left == of("s over"));
  CHECK(middle == of("thever"));
  CHECK(right == of("the qu"));
}

TEST_CASE("a cache of another model, tokenizer, policy or version is refused with its reason") {
  library_of_one const l;
  REQUIRE(l.build({"--policy", "roco", "--budget", "18"}).status == 0);
  auto const refused = [&](arguments const& a, std::string const& file = "") {
    finished const f = l.answer(a, file);
    CHECK(f.status == 2);
    CHECK(f.out.empty());
    CHECK(std::count(f.err.begin(), f.err.end(), '\n') == 1);
    return f.err;
  };
  CHECK(refused({"--question", "?", "--policy", "tova"}).find("was built with roco") != std::string::npos);
  CHECK(refused({"--question", "?"}, l.document).find("no safetensors file") != std::string::npos);
  CHECK(refused({"--question", "?"}, l.model.path() + "/model.safetensors").find("is no cache") != std::string::npos);
  CHECK(refused({"--question", ""}).find("--question is empty") != std::string::npos);
  CHECK(refused({"--question", std::string(60, 'x')}).find("positions, the model has 64") != std::string::npos);

  std::string whole = support::read_file(l.cache);
  std::string const version = "\"kvsift_cache\":\"2\"", later = "\"kvsift_cache\":\"3\"";
  REQUIRE(whole.find(version) != std::string::npos);
  std::string const other = (l.folder / "other.safetensors").string();
  std::ofstream(other, std::ios::binary) << std::string(whole).replace(whole.find(version), version.size(), later);
  CHECK(refused({"--question", "?"}, other).find("is a cache of format 3") != std::string::npos);

  // The same shape, one weight apart.
  programs::saved_cache saved = programs::read_cache(l.cache);
  saved.model ^= 1;
  programs::write_cache(other, saved);
  CHECK(refused({"--question", "?"}, other).find("was built by another model") != std::string::npos);
  saved.model ^= 1;
  saved.asked.policy = "tova";
  programs::write_cache(other, saved);
  CHECK(refused({"--question", "?"}, other).find("does not fit the policy it states") != std::string::npos);
}

TEST_CASE("a file that was cut short or changed anywhere is refused") {
  library_of_one const l;
  REQUIRE(l.build({"--policy", "heavy_hitter", "--budget", "18", "--positions", "in_cache"}).status == 0);
  std::string const whole = support::read_file(l.cache);
  REQUIRE_NOTHROW(programs::read_cache("whole", whole));
  std::size_t taken = 0;
  for (std::size_t n = 0; n < whole.size(); n += n < 3000 ? 7 : 101)
    CHECK_THROWS_AS(programs::read_cache("cut", whole.substr(0, n)), reference_model::bad_file);
  support::for_each_seed(1500, [&](std::uint64_t seed) {
    support::draws d(seed);
    std::string changed = whole;
    auto const at = static_cast<std::size_t>(d.bits() % whole.size());
    changed[at] = static_cast<char>(changed[at] ^ (1 << d.between(0, 7)));
    try {
      programs::read_cache("changed", changed);
      ++taken;  // a blank of the header's padding, or a letter of a name that is not looked at
      CHECK(at < 8 + 2500);
    } catch (reference_model::bad_file const&) {
    }
  });
  CHECK(taken < 150);
}

}  // namespace
