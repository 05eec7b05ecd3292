// perplexity and passkey, as processes.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <reference_model/shared_data.hpp>
#include <support/files.hpp>

#include "process.hpp"
#include "tiny_model.hpp"

namespace {

using arguments = std::vector<std::string>;
using nlohmann::json;

std::vector<json> objects(std::string const& program, arguments a) {
  a.push_back("--json");
  finished const f = run_program(program, a);
  INFO(f.err);
  REQUIRE(f.status == 0);
  std::vector<json> all;
  std::istringstream lines(f.out);
  for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line));
  return all;
}

TEST_CASE("several positions are compared in one run; a full cache may leave the model's, too") {
  tiny_model const model;
  temporary_folder const folder;
  std::string const text = (folder / "text.txt").string();
  for (std::ofstream out(text); auto const word : {"one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight "}) out << word << word << word;
  arguments const a{"--model", model.path(), "--text", text, "--tokens", "100", "--window", "100"};
  auto const with = [&](arguments more) { return more.insert(more.begin(), a.begin(), a.end()), more; };
  auto const both = objects("perplexity", with({"--policy", "streaming_llm", "--budget", "20", "--positions", "in_cache,original"}));
  REQUIRE(both.size() == 2);
  CHECK(both[0]["policy"] == "streaming_llm, in_cache");
  CHECK(both[1]["policy"] == "streaming_llm, original");
  CHECK(both[0]["nll"].size() == 99);
  CHECK(both[0]["nll"][10] == doctest::Approx(both[1]["nll"][10].get<double>()));
  CHECK(both[0]["nll"][98] != doctest::Approx(both[1]["nll"][98].get<double>()));
  CHECK(objects("perplexity", with({"--positions", "original", "--prefill", "whole"})).at(0)["nll"].size() == 99);
}

TEST_CASE("passages of llama2.c: tokens exactly, negative log-likelihoods within 1e-4, whatever is fed at once") {
  NEEDS_SHARED(shared_file("data/stories260K/golden.json"));
  json const golden = json::parse(std::ifstream(shared_file("data/stories260K/golden.json")));
  temporary_folder const folder;
  std::string const text = (folder / "text.txt").string();
  for (auto const& passage : golden["passages"]) {
    std::ofstream(text, std::ios::binary) << passage["text"].get<std::string>();
    for (std::string const prefill : {"1", "100", "100000", "whole", "fit", "chunk:50"}) {
      auto const all = objects("perplexity", {"--model", shared_file("data/stories260K/stories260K.bin").string(), "--tokenizer",
                                              shared_file("data/stories260K/tok512.bin").string(), "--text", text, "--prefill", prefill});
      REQUIRE(all.size() == 1);
      json const& run = all[0];
      CHECK(run["tokens"] == passage["tokens"]);
      REQUIRE(run["nll"].size() == passage["nll"].size());
      double worst = 0;
      for (std::size_t i = 0; i < run["nll"].size(); ++i)
        worst = std::max(worst, std::abs(run["nll"][i].get<double>() - passage["nll"][i].get<double>()));
      CHECK(worst < 1e-4);
      CHECK(run["mean_nll"].get<double>() == doctest::Approx(passage["mean_nll"].get<double>()).epsilon(1e-5));
      CHECK(run["perplexity"].get<double>() == doctest::Approx(std::exp(run["mean_nll"].get<double>())));
      CHECK(run["policy"] == "full");
      CHECK(run["budget"].is_null());
    }
  }
}

struct sample {
  tiny_model model;
  temporary_folder folder;
  std::string text = (folder / "text.txt").string();
  sample() { std::ofstream(text) << "The quick brown fox jumps over the lazy dog. And then, at last, it sleeps under a tree for a while."; }
  arguments operator()(arguments const& more) const {
    arguments a{"--model", model.path(), "--text", text};
    a.insert(a.end(), more.begin(), more.end());
    return a;
  }
};

TEST_CASE("policies and budgets, each with each; the same tokens count for all") {
  sample const s;
  auto const all = objects("perplexity", s({"--tokens", "60", "--from", "10", "--policy", "full,roco,streaming_llm", "--budget", "50%,25%"}));
  REQUIRE(all.size() == 5);
  std::vector<std::string> const names{"full", "roco", "roco", "streaming_llm", "streaming_llm"};
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i]["policy"] == names[i]);
    CHECK(all[i]["scored"] == 50);
    CHECK(all[i]["tokens"] == all[0]["tokens"]);
    double sum = 0;
    for (std::size_t t = 9; t < 59; ++t) sum += all[i]["nll"][t].get<double>();
    CHECK(all[i]["mean_nll"].get<double>() == doctest::Approx(sum / 50));
  }
  CHECK(all[1]["budget"] == 30);
  CHECK(all[2]["budget"] == 15);
  // NLL of token i + 1 stands before the eviction after token i: the first 31 tokens are those of a full cache.
  for (std::size_t t = 0; t < 31; ++t) CHECK(all[1]["nll"][t] == all[0]["nll"][t]);
  CHECK(all[1]["nll"][32] != all[0]["nll"][32]);
}

TEST_CASE("what fits is fed at once, the rest one by one or in pieces; a token is predicted from what the cache then holds") {
  sample const s;
  auto const fed = [&](std::string const& prefill, std::string const& policy) {
    arguments a = s({"--window", "60", "--policy", policy, "--prefill", prefill});
    if (policy != "full") a.insert(a.end(), {"--budget", "20"});
    auto const run = objects("perplexity", a)[0];
    CHECK(run["prefill"] == prefill);
    return run;
  };
  auto const nll = [](json const& run, std::size_t i) { return run["nll"][i].is_null() ? -1 : run["nll"][i].get<double>(); };
  for (std::string const policy : {"full", "roco", "streaming_llm", "heavy_hitter"}) {
    CAPTURE(policy);
    json const singly = fed("1", policy), fit = fed("fit", policy), whole = fed("whole", policy);
    CHECK(fed("chunk:1", policy)["nll"] == singly["nll"]);
    CHECK((policy == "full" ? whole : fed("20", policy))["nll"] == fit["nll"]);
    CHECK(fed("chunk:1000", policy)["nll"] == whole["nll"]);
    CHECK(fed("1000", policy)["nll"] == whole["nll"]);
    // Nothing goes before the budget is full: up to rounding, and for heavy_hitter what a prompt taught is one observation.
    double worst = 0;
    for (std::size_t i = 0; i < 20; ++i) worst = std::max(worst, std::abs(nll(fit, i) - nll(singly, i)));
    CHECK(worst < 1e-4);
    if (policy == "streaming_llm") {
      for (std::size_t i = 0; i < fit["nll"].size(); ++i) CHECK(nll(fit, i) == doctest::Approx(nll(singly, i)).epsilon(1e-4));
      CHECK(std::abs(nll(whole, 40) - nll(fit, 40)) > 1e-3);  // all 40 tokens before it, not 20
    }
    json const pieces = fed("chunk:7", policy);
    CHECK(pieces["scored"] == singly["scored"]);
    for (std::size_t i = 0; i < 14; ++i) CHECK(nll(pieces, i) == doctest::Approx(nll(singly, i)).epsilon(1e-4));
  }
}

TEST_CASE("rows and pages say the same of a text and of prompts") {
  sample const s;
  auto const said = [](std::string const& program, arguments a, char const* what) {
    auto const rows = objects(program, a);
    a.insert(a.end(), {"--layout", "pages"});
    auto const pages = objects(program, a);
    REQUIRE(rows.size() == pages.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      CHECK(rows[i][what] == pages[i][what]);
      CHECK(pages[i]["layout"] == "pages");
    }
  };
  said("perplexity", s({"--window", "40", "--policy", "full,roco,lsh", "--budget", "20"}), "nll");
  said("passkey", {"--model", s.model.path(), "--length", "200", "--prompts", "3", "--policy", "roco,tova", "--budget", "40", "--positions", "in_cache"},
       "prompts");
}

TEST_CASE("windows start with an empty cache and a BOS of their own") {
  sample const s;
  auto const all = objects("perplexity", s({"--window", "40", "--policy", "roco", "--budget", "20"}));
  json const& run = all[0];
  CHECK(run["windows"] == 3);
  std::vector<std::uint32_t> const tokens = run["tokens"];
  CHECK(tokens[0] == 256);
  CHECK(tokens[40] == 256);
  CHECK(tokens[80] == 256);
  CHECK(run["nll"][39].is_null());
  CHECK(!run["nll"][40].is_null());
  CHECK(run["nll"].size() == tokens.size() - 1);
  CHECK(run["scored"] == tokens.size() - 3);
  // The first window alone says the same of it.
  auto const first = objects("perplexity", s({"--tokens", "40", "--policy", "roco", "--budget", "20"}));
  for (std::size_t i = 0; i < 39; ++i) CHECK(run["nll"][i] == first[0]["nll"][i]);
}

TEST_CASE("perplexity writes table, CSV, plot and objects") {
  sample const s;
  arguments a = s({"--policy", "full,roco", "--budget", "30,20", "--window", "60", "--out", (s.folder / "out").string()});
  finished const f = run_program("perplexity", a);
  CHECK(f.status == 0);
  CHECK(f.out.find("perplexity") != std::string::npos);
  std::string const csv = support::read_file(s.folder / "out/perplexity.csv");
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 4);
  CHECK(support::read_file(s.folder / "out/perplexity.svg").find("</svg>") != std::string::npos);
  CHECK(json::parse(std::ifstream(s.folder / "out/perplexity.jsonl"), nullptr, false).is_discarded());  // three objects, a line each
}

TEST_CASE("pass keys: the same prompts for a seed, one object a policy and budget") {
  tiny_model const model;
  arguments const a{"--model", model.path(), "--length", "300", "--prompts", "7", "--depths", "3", "--policy", "roco,streaming_llm",
                    "--budget", "40,20", "--positions", "in_cache"};
  auto const all = objects("passkey", a), again = objects("passkey", a);
  REQUIRE(all.size() == 4);
  CHECK(all == again);
  for (json const& run : all) {
    REQUIRE(run["prompts"].size() == 7);
    for (std::size_t i = 0; i < 7; ++i) {
      json const& p = run["prompts"][i];
      CHECK(p["tokens"] == all[0]["prompts"][i]["tokens"]);
      CHECK(p["target"].get<std::string>().size() == 5);
      CHECK(p["correct"] == (p["target"] == p["answer"]));
      CHECK(p["depth"] == doctest::Approx(static_cast<double>(i % 3) / 2));
      CHECK(p["tokens"].size() + 5 <= 300);
    }
  }
  arguments other = a;
  other.insert(other.end(), {"--seed", "9"});
  CHECK(objects("passkey", other)[0]["prompts"][0]["target"] != all[0]["prompts"][0]["target"]);
}

TEST_CASE("passkey writes table, CSV, picture and objects") {
  tiny_model const model;
  temporary_folder const folder;
  finished const f = run_program("passkey", {"--model", model.path(), "--length", "200", "--prompts", "6", "--depths", "3", "--policy", "roco,tova",
                                             "--budget", "25%,12%", "--positions", "in_cache", "--out", folder.string()});
  CHECK(f.status == 0);
  CHECK(f.err == "budget 25% of 200 tokens = 50 slots per KV head\nbudget 12% of 200 tokens = 24 slots per KV head\n");
  std::string const csv = support::read_file(folder / "passkey.csv");
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 13);
  CHECK(support::read_file(folder / "passkey.svg").find("</svg>") != std::string::npos);
  CHECK(folder.files() == 3);
}

}  // namespace
