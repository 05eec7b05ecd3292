// generate, as a process: llama2.c's texts, counting, determinism, streaming, records and pictures.

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <reference_model/io/safetensors.hpp>
#include <reference_model/shared_data.hpp>
#include <support/files.hpp>

#include "process.hpp"
#include "tiny_model.hpp"

namespace {

using arguments = std::vector<std::string>;
using nlohmann::json;

arguments with(arguments first, arguments const& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}
arguments stories() {
  return {"--model", shared_file("data/stories260K/stories260K.bin").string(), "--tokenizer",
          shared_file("data/stories260K/tok512.bin").string()};
}
json generated(arguments const& a) {
  finished const f = run_program("generate", with(a, {"--json"}));
  INFO(f.err);
  REQUIRE(f.status == 0);
  return json::parse(f.out);
}

TEST_CASE("greedy texts of llama2.c, character for character") {
  NEEDS_SHARED(shared_file("data/stories260K/golden.json"));
  json const golden = json::parse(std::ifstream(shared_file("data/stories260K/golden.json")));
  for (auto const& g : golden["greedy"]) {
    std::string const steps = std::to_string(g["steps"].get<int>());
    finished const f = run_program("generate", with(stories(), {"--prompt", g["prompt"], "--tokens", steps, "--temperature", "0", "--text-only"}));
    CHECK(f.status == 0);
    CHECK(f.out == g["text"].get<std::string>());
    CHECK(f.err == "");
  }
}

TEST_CASE("a budget that nothing exceeds changes nothing") {
  NEEDS_SHARED(shared_file("data/stories260K/golden.json"));
  json const golden = json::parse(std::ifstream(shared_file("data/stories260K/golden.json")));
  auto const& g = golden["greedy"][1];
  for (std::string const policy : {"roco", "streaming_llm", "heavy_hitter", "tova"}) {
    finished const f = run_program("generate", with(stories(), {"--prompt", g["prompt"], "--tokens", "256", "--temperature", "0",
                                                                "--text-only", "--policy", policy, "--budget", "256"}));
    CHECK(f.out == g["text"].get<std::string>());
  }
}

TEST_CASE("--tokens counts the prompt's positions, --new-tokens does not") {
  tiny_model const model;
  arguments const a{"--model", model.path(), "--prompt", "abcd", "--never-eos"};
  json const by_tokens = generated(with(a, {"--tokens", "20"})), by_new = generated(with(a, {"--new-tokens", "16"}));
  CHECK(by_tokens["seen"] == 20);
  CHECK(by_tokens["prompt_tokens"] == 5);  // BOS and four bytes
  CHECK(by_tokens["tokens"].size() == 21);  // the last one is drawn and not fed
  CHECK(by_new["seen"] == 20);
  CHECK(by_new["nll"].size() == 16);
  CHECK(by_new["text"] == by_tokens["text"]);
  CHECK(generated(a)["seen"] == tiny_model::positions);  // by default as far as the model's positions reach
}

TEST_CASE("a seed says everything: equal runs, on one thread and on two; another seed is another text") {
  tiny_model const model;
  arguments const a{"--model", model.path(), "--policy", "random", "--budget", "20", "--tokens", "60", "--never-eos"};
  json const once = generated(with(a, {"--seed", "3"})), again = generated(with(a, {"--seed", "3"}));
  json const threads = generated(with(a, {"--seed", "3", "--executor", "parallel:2"})), other = generated(with(a, {"--seed", "4"}));
  for (char const* what : {"text", "tokens", "nll", "held"}) {
    CHECK(once[what] == again[what]);
    CHECK(once[what] == threads[what]);
  }
  CHECK(once["text"] != other["text"]);
  CHECK(once["held"][0][0].size() == 20);
}

TEST_CASE("every token is written at once, into a pipe too") {
  tiny_model const model;
  finished const f = run_program("generate", {"--model", model.path(), "--tokens", "60", "--never-eos", "--text-only"});
  CHECK(f.status == 0);
  CHECK(f.pieces.size() == 1 + 44 + 1);  // the prompt of 17 tokens, each token that follows, and the line's end
}

TEST_CASE("ends: a text stops there, goes on behind it, or never comes to it") {
  tiny_model const model;
  arguments const a{"--model", model.path(), "--temperature", "50", "--top-p", "1", "--seed", "2", "--policy", "streaming_llm", "--budget", "16"};
  json const stopped = generated(with(a, {"--tokens", "3000"}));
  REQUIRE(stopped["seen"] < 3000);
  std::uint32_t const last = stopped["tokens"].back();
  CHECK(last >= 256);
  json const ignored = generated(with(a, {"--tokens", "3000", "--ignore-eos"}));
  CHECK(ignored["seen"] == 3000);
  json const never = generated(with(a, {"--tokens", "3000", "--never-eos"}));
  int ends = 0;
  for (std::size_t i = 1; i < never["tokens"].size(); ++i) ends += never["tokens"][i] >= 256;
  CHECK(ends == 0);
}

TEST_CASE("no n-gram stands twice in the text unless repeats are allowed") {
  tiny_model const model;
  arguments const a{"--model", model.path(), "--temperature", "0", "--tokens", "64"};
  auto const repeats = [](json const& run) {
    std::vector<std::uint32_t> const t = run["tokens"];
    for (std::size_t i = 0; i + 2 < t.size(); ++i)
      for (std::size_t j = i + 1; j + 1 < t.size(); ++j)
        if (t[i] == t[j] && t[i + 1] == t[j + 1]) return true;
    return false;
  };
  CHECK(repeats(generated(with(a, {"--allow-repeats"}))));
  CHECK(!repeats(generated(with(a, {"--no-repeat-ngram", "2"}))));
}

TEST_CASE("far beyond the model's positions with a budget, and pinned positions stay") {
  tiny_model const model;
  for (std::string const policy : {"accumulated_attention", "roco", "heavy_hitter"}) {
    json const run = generated({"--model", model.path(), "--policy", policy, "--budget", "32", "--tokens", "500", "--ignore-eos", "--pin", "7:10"});
    CHECK(run["positions"] == "in_cache");
    CHECK(run["seen"] == 500);
    for (auto const& layer : run["held"])
      for (auto const& head : layer) {
        CHECK(head.size() == 32);
        for (int const pinned : {7, 8, 9}) CHECK(std::find(head.begin(), head.end(), pinned) != head.end());
      }
  }
}

TEST_CASE("what a budget bounds: the prompt, what is generated, or both; and EasyKV's words for it") {
  tiny_model const model;
  std::string const prompt(29, 'a');  // 30 tokens
  for (std::string const policy : {"strided", "roco", "key_norm"}) {
    CAPTURE(policy);
    auto const run = [&](std::string const& bound, arguments const& more = {}) {
      return generated(with({"--model", model.path(), "--prompt", prompt, "--policy", policy, "--budget", "20", "--tokens", "60", "--ignore-eos",
                             "--temperature", "0", "--bound", bound},
                            more));
    };
    json const of_prompt = run("prompt"), generated_only = run("generated"), both = run("both");
    CHECK(both["held"][0][0].size() == 20);
    CHECK(of_prompt["held"][0][0].size() == 20 + 30);  // as many tokens followed; strides of five lead from 30 to 20
    for (auto const& layer : generated_only["held"])
      for (auto const& head : layer) {
        CHECK(head.size() == 50);
        for (int p = 0; p < 30; ++p) CHECK(std::find(head.begin(), head.end(), p) != head.end());
      }
    CHECK(run("encoding")["tokens"] == of_prompt["tokens"]);
    CHECK(run("decoding")["tokens"] == generated_only["tokens"]);
    CHECK(run("auto")["tokens"] == both["tokens"]);
    CHECK(run("both", {"--prefill", "chunk:7"})["held"][0][0].size() == 20);
  }
}

TEST_CASE("a prompt that is fed token by token is decode, and so is its last token alone") {
  tiny_model const model;
  std::string const prompt = "The quick brown fox jumps ove";  // 30 tokens
  auto const run = [&](std::string const& policy, arguments const& more) {
    return generated(with({"--model", model.path(), "--prompt", prompt, "--policy", policy, "--budget", "20", "--tokens", "50", "--ignore-eos",
                           "--temperature", "0"},
                          more));
  };
  // What fits at once and then one by one is one by one, up to rounding: as long as the texts are the same, and mostly they are.
  // Not key_norm: a letter that comes back has the same norm up to rounding.
  for (std::string const policy : {"roco", "streaming_llm"}) {
    CAPTURE(policy);
    json const fit = run(policy, {"--prefill", "fit"}), single = run(policy, {"--prefill", "chunk:1"});
    std::size_t same = 0;
    while (same < fit["nll"].size() && fit["tokens"][30 + same] == single["tokens"][30 + same]) {
      CHECK(fit["nll"][same].get<double>() == doctest::Approx(single["nll"][same].get<double>()).epsilon(1e-4));
      ++same;
    }
    CHECK(same >= 5);
  }
  json const whole = run("streaming_llm", {}), last_alone = run("streaming_llm", {"--decode-first-token"});
  CHECK(whole["held"] == last_alone["held"]);
  CHECK(whole["nll"] != last_alone["nll"]);
}

TEST_CASE("in-cache positions are original ones until something goes") {
  tiny_model const model;
  arguments const a{"--model", model.path(), "--temperature", "0", "--tokens", "60", "--ignore-eos", "--policy", "streaming_llm", "--budget", "62"};
  CHECK(generated(a)["text"] == generated(with(a, {"--positions", "in_cache"}))["text"]);
}

TEST_CASE("a rotation goes on beyond the model's positions if it is asked to; without sinks only distances count") {
  tiny_model const model;
  arguments const a{"--model", model.path(), "--temperature", "0", "--tokens", "150", "--ignore-eos", "--policy", "streaming_llm",
                    "--set", "sinks=0", "--budget", "30"};
  finished const beyond = run_program("generate", with(a, {"--positions", "original", "--json"}));
  REQUIRE(beyond.status == 0);
  CHECK(beyond.err.find("more positions than the model was trained for") != std::string::npos);
  CHECK(json::parse(beyond.out)["positions"] == "original");
  CHECK(json::parse(beyond.out)["text"] == generated(with(a, {"--positions", "in_cache"}))["text"]);
  CHECK(generated(a)["positions"] == "in_cache");
}

TEST_CASE("with a word list, what was drawn is judged by it, the prompt left out") {
  tiny_model const model;
  temporary_folder const folder;
  std::ofstream(folder / "words.txt") << "zebra\n";
  arguments const a{"--model", model.path(), "--temperature", "0", "--tokens", "60", "--ignore-eos", "--prompt", "zebra zebra zebra zebra zebra"};
  json const judged = generated(with(a, {"--words", (folder / "words.txt").string()}));
  CHECK(judged["readable_chunks"] == 0);
  CHECK(judged["chunks"].is_number());
  CHECK(generated(a)["chunks"].is_null());
  finished const told = run_program("generate", with(a, {"--words", (folder / "words.txt").string()}));
  CHECK(told.err.find("readable  0 of ") != std::string::npos);
  CHECK(run_program("generate", with(a, {"--words", (folder / "none.txt").string()})).status == 2);
}

TEST_CASE("half precision halves K and V, fp8 takes a quarter, and a policy file may ask for it") {
  tiny_model const model;
  temporary_folder const folder;
  std::ofstream(folder / "mine.json") << R"({"policy": "roco", "budget": 24, "excluded": 4, "storage": "bf16"})";
  arguments const a{"--model", model.path(), "--tokens", "60", "--ignore-eos"};
  json const wide = generated(with(a, {"--policy", "roco", "--budget", "24"}));
  json const file = generated(with(a, {"--policy", (folder / "mine.json").string()}));
  json const set = generated(with(a, {"--policy", (folder / "mine.json").string(), "--set", "storage=fp16", "--budget", "32"}));
  json const quarter = generated(with(a, {"--policy", (folder / "mine.json").string(), "--set", "storage=fp8"}));
  CHECK(quarter["storage"] == "fp8");
  CHECK(file["policy"] == "mine");
  CHECK(file["storage"] == "bf16");
  CHECK(file["budget"] == 24);
  auto const vectors = [](json const& run) { return run["bytes"]["cache"].get<int>() - run["bytes"]["bookkeeping"].get<int>(); };
  CHECK(2 * vectors(file) == vectors(wide));
  CHECK(4 * vectors(quarter) == vectors(wide));
  CHECK(wide["compression"] == 1 - 24.0 / 60);
  CHECK(file["compression"] == wide["compression"]);  // a full cache would be bf16 as well
  CHECK(quarter["compression"].get<double>() == doctest::Approx(1 - 12.0 / 60));  // and that of fp8 16 bits wide
  CHECK(file["compression_with_bookkeeping"] < wide["compression_with_bookkeeping"]);
  CHECK(wide["compression_with_bookkeeping"] < wide["compression"]);
  CHECK(set["storage"] == "fp16");
  CHECK(set["budget"] == 32);
}

TEST_CASE("a recorded layer replays to the same decisions") {
  tiny_model const model;
  temporary_folder const folder;
  std::string const trace = (folder / "trace.safetensors").string(), policy = (folder / "policy.json").string();
  std::ofstream(policy) << R"({"policy": "accumulated_attention", "budget": 16, "recent": 6})";
  for (std::string const prompt : {"a prompt of more tokens than the budget", "short"}) {
    json const run = generated({"--model", model.path(), "--policy", policy, "--prompt", prompt, "--tokens", "60", "--ignore-eos",
                                "--record", trace, "--record-layer", "1"});
    finished const replayed = run_program("replay", {"--trace", trace, "--policy", policy, "--prompt", std::to_string(prompt.size() + 1)});
    REQUIRE(replayed.status == 0);
    std::size_t heads = 0;
    std::istringstream lines(replayed.out);
    for (std::string line; std::getline(lines, line);) {
      json const event = json::parse(line);
      if (event["event"] != "final") continue;
      CHECK(event["positions"] == run["held"][1][event["head"].get<std::size_t>()]);
      ++heads;
    }
    CHECK(heads == tiny_model::kv_heads);
  }
}

TEST_CASE("--out and --retention-map write whole files; the summary goes to standard error") {
  tiny_model const model;
  temporary_folder const folder;
  finished const f = run_program("generate", {"--model", model.path(), "--policy", "roco", "--budget", "50%", "--tokens", "60",
                                              "--ignore-eos", "--out", (folder / "new").string()});
  CHECK(f.status == 0);
  json const run = json::parse(support::read_file(folder / "new/generate.json"));
  CHECK(f.out.rfind("Once upon a time", 0) == 0);
  CHECK(run["text"].get<std::string>().rfind("Once upon a time", 0) == 0);
  std::string const picture = support::read_file(folder / "new/retention_map.svg");
  CHECK(picture.rfind("<svg", 0) != std::string::npos);
  CHECK(picture.find("</svg>") != std::string::npos);
  CHECK(folder.files() == 2);
  CHECK(f.err.find("budget 50% of 60 tokens = 30 slots per KV head") != std::string::npos);
  for (char const* word : {"60 seen", "30 per KV head", "% of a full cache", "saved     50.0 % of K and V, ", "% with bookkeeping", "tokens/s", "perplexity"}) {
    CAPTURE(word);
    CHECK(f.err.find(word) != std::string::npos);
  }
}

TEST_CASE("a prompt as a turn of a conversation") {
  tiny_model const model;
  arguments const a{"--model", model.path(), "--prompt", "hi", "--new-tokens", "3", "--temperature", "0", "--policy", "streaming_llm", "--budget", "40"};
  auto const began = [&](std::string const& style) {
    std::string const text = generated(with(a, {"--chat", style}))["text"];
    return text;
  };
  CHECK(began("plain").starts_with("hi"));
  CHECK(began("llama2").starts_with("[INST] hi [/INST]"));
  CHECK(began("llama3").starts_with("<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"));
  CHECK(began("chatml").starts_with("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"));
  CHECK(began("vicuna").starts_with("USER: hi\n\nASSISTANT: "));
}

}  // namespace
