// What is wrong with arguments and files: status 2, one line that names it and what to do, and nothing written.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <support/files.hpp>

#include "process.hpp"
#include "tiny_model.hpp"

namespace {

using arguments = std::vector<std::string>;

// Runs the program and holds its refusal against what every refusal must be.
void refuses(std::string const& program, arguments const& a, std::vector<std::string> const& words) {
  std::string line = program;
  for (std::string const& one : a) line += " " + one;
  CAPTURE(line);
  finished const f = run_program(program, a);
  CAPTURE(f.err);
  CHECK(f.status == 2);
  CHECK(f.out == "");
  CHECK(std::count(f.err.begin(), f.err.end(), '\n') == 1);
  CHECK(f.err.rfind(program + ": ", 0) == 0);
  CHECK(f.err.size() < 900);
  for (std::string const& word : words) {
    CAPTURE(word);
    CHECK(f.err.find(word) != std::string::npos);
  }
}

struct place {
  tiny_model model;
  temporary_folder folder;
  std::string text = file("text.txt", "Some words to predict, and more of them.");

  std::string file(std::string const& name, std::string const& content) const {
    std::ofstream(folder / name, std::ios::binary) << content;
    return (folder / name).string();
  }
  arguments operator()(arguments const& more) const {
    arguments a{"--model", model.path()};
    a.insert(a.end(), more.begin(), more.end());
    return a;
  }
};

TEST_CASE("budgets that are none") {
  place const p;
  auto const budget = [&](std::string const& text, std::vector<std::string> const& words) {
    refuses("generate", p({"--policy", "roco", "--budget", text}), words);
    refuses("perplexity", p({"--text", p.text, "--policy", "roco", "--budget", text}), words);
    refuses("passkey", p({"--policy", "roco", "--budget", text}), words);
    refuses("generate", p({"--budget", text}), words);  // for every policy, full too
  };
  budget("0", {"--budget is '0'", "give slots"});
  budget("-5", {"--budget is '-5'", "give slots"});
  budget("many", {"--budget is 'many'", "give slots"});
  budget("3.5", {"--budget is '3.5'", "give slots"});
  budget("99999999999999999999", {"--budget is '99999999999999999999'", "2147483646"});
  budget("0%", {"--budget is '0%'", "share"});
  budget("101%", {"--budget is '101%'", "100%"});
  budget("-1%", {"--budget is '-1%'", "share"});
  budget("0.01%", {"--budget is '0.01%'", "at least one slot"});
  refuses("generate", p({"--policy", "roco"}), {"--policy is roco", "needs a budget", "--budget N or P%"});
  refuses("generate", p({"--policy", "roco", "--budget", "8", "--budget", "9"}), {"--budget is given twice", "give one"});
}

TEST_CASE("beyond memory") {
  place const p;
  refuses("generate", p({"--policy", "roco", "--budget", "2147483646", "--tokens", "60"}), {"2147483647 slots per KV head", "the machine has", "--budget below"});
  refuses("perplexity", p({"--text", p.text, "--policy", "streaming_llm", "--budget", "2000000000"}), {"2000000001 slots per KV head", "the machine has"});
}

TEST_CASE("protected more than there is") {
  place const p;
  refuses("generate", p({"--policy", "streaming_llm", "--budget", "4"}), {"'budget' is 4", "4 sinks"});
  refuses("generate", p({"--policy", "heavy_hitter", "--budget", "10"}), {"'budget' is 10", "leave no slot that may go", "raise the budget"});
  refuses("generate", p({"--policy", "accumulated_attention", "--budget", "16", "--set", "recent=10", "--set", "sinks=8"}),
          {"'budget' is 16", "sinks 8 + recent 10 leave no slot", "raise the budget"});
  refuses("generate", p({"--policy", "tova", "--budget", "16", "--set", "sinks=16"}), {"'budget' is 16", "sinks 16", "raise the budget"});
  refuses("generate", p({"--policy", "roco", "--budget", "16", "--pin", "0:10"}), {"'budget' is 16", "pinned 10", "protect less"});
  refuses("generate", p({"--policy", "streaming_llm", "--set", "recent=0", "--budget", "16"}), {"'recent' is 0"});
}

TEST_CASE("policies and fields that there are not") {
  place const p;
  refuses("generate", p({"--policy", "nonsense", "--budget", "16"}), {"--policy is 'nonsense'", "streaming_llm", "roco"});
  refuses("generate", p({"--policy", "no/such.json", "--budget", "16"}), {"--policy is 'no/such.json'", "no such file"});
  refuses("generate", p({"--policy", "roco", "--budget", "16", "--set", "colour=red"}), {"--set colour=red", "'colour' is unknown; give a field of the policy"});
  refuses("generate", p({"--policy", "roco", "--budget", "16", "--set", "exclude=2"}), {"'exclude' is unknown; did you mean excluded? Or give"});
  refuses("generate", p({"--policy", "roco", "--budget", "16", "--set", "newest"}), {"--set is 'newest'", "FIELD=VALUE"});
  refuses("generate", p({"--policy", "roco", "--budget", "16", "--set", "newest=-1"}), {"--set newest=-1", "'newest' is '-1'", "whole number"});
  refuses("generate", p({"--policy", "roco", "--budget", "16", "--set", "history=2"}), {"'history'", "not one of roco"});
  refuses("generate", p({"--policy", "roco", "--budget", "16", "--set", "storage=e4m3"}), {"'storage' is 'e4m3'", "fp32, fp16, bf16, fp8, int8, int4 or int2"});
  refuses("generate", p({"--budget", "16", "--policy", "roco", "--pin", "9:4"}), {"--pin is '9:4'", "A:B"});
}

TEST_CASE("policy files that are none") {
  place const p;
  auto const file = [&](std::string const& content, std::vector<std::string> const& words) {
    std::vector<std::string> all = words;
    all.push_back("policy.json");
    refuses("generate", p({"--policy", p.file("policy.json", content)}), all);
  };
  file("", {});
  file("{", {});
  file("{\"policy\": \"roco\", \"budget\": 16,}", {});
  file("[1, 2]", {});
  file("\"roco\"", {});
  file("{\"budget\": 16}", {"'policy' is missing"});
  file("{\"policy\": \"nonsense\"}", {"'nonsense'"});
  file("{\"policy\": \"roco\", \"budget\": 16}", {"'excluded' is missing"});
  file("{\"policy\": \"roco\", \"budget\": 16, \"excluded\": 2, \"colour\": 1}", {"'colour' is unknown; remove it"});
  file("{\"policy\": \"roco\", \"budget\": 16, \"excludes\": 2}", {"'excludes' is unknown; did you mean excluded? Or remove it"});
  file("{\"policy\": \"roco\", \"budget\": 16.5, \"excluded\": 2}", {"'budget' is 16.5"});
  file("{\"policy\": \"roco\", \"budget\": -16, \"excluded\": 2}", {"'budget' is -16"});
  file("{\"policy\": \"roco\", \"budget\": 0, \"excluded\": 0}", {"'budget' is 0"});
  file("{\"policy\": \"roco\", \"budget\": \"16\", \"excluded\": 2}", {"'budget' is \"16\""});
  file(std::string(100000, '['), {});
}

TEST_CASE("prompts and texts that are none") {
  place const p;
  refuses("generate", p({"--prompt", ""}), {"--prompt is empty"});
  refuses("generate", p({"--prompt", "caf\xe9"}), {"--prompt", "UTF-8", "byte 3"});
  refuses("generate", p({"--prompt-file", p.file("empty.txt", "")}), {"--prompt-file", "is empty"});
  refuses("generate", p({"--prompt-file", p.file("bad.txt", "ok \xff")}), {"--prompt-file", "UTF-8", "byte 3"});
  refuses("generate", p({"--prompt-file", (p.folder / "none.txt").string()}), {"none.txt", "no such file"});
  refuses("generate", p({"--prompt-file", p.folder.string()}), {"regular file"});
  refuses("perplexity", p({"--text", p.file("empty.txt", "")}), {"--text", "is empty"});
  refuses("perplexity", p({"--text", p.file("bad.txt", "ok \xff")}), {"--text", "UTF-8", "byte 3"});
  refuses("perplexity", p({}), {"--text"});
  std::string const long_prompt(100, 'x');
  refuses("generate", p({"--prompt", long_prompt}), {"positions", "the model has 64", "full has no budget", "budget"});
  refuses("generate", p({"--prompt", long_prompt, "--policy", "roco", "--budget", "200"}), {"the model has 64", "keeps 200 slots", "budget below 64"});
  refuses("generate", p({"--prompt", "a", "--positions", "original", "--positions", "in_cache"}), {"--positions is given twice, original and in_cache"});
  refuses("generate", p({"--prompt", "a", "--layout", "columns"}), {"--layout is 'columns'", "rows or pages"});
  refuses("passkey", p({"--length", "20"}), {"--length is 20", "give more"});
  refuses("passkey", p({"--length", "300"}), {"the model has 64"});
}

TEST_CASE("numbers that are none") {
  place const p;
  refuses("generate", p({"--tokens", "-3"}), {"--tokens", "-3"});
  refuses("generate", p({"--tokens", "3"}), {"--tokens is 3", "the prompt alone has 17"});
  refuses("generate", p({"--tokens", "x"}), {"--tokens", "'x'"});
  refuses("generate", p({"--tokens", "0"}), {"--tokens is 0"});
  refuses("generate", p({"--new-tokens", "0"}), {"--new-tokens is 0"});
  refuses("generate", p({"--tokens", "99999999999999999999999"}), {"--tokens", "give at most"});
  refuses("generate", p({"--temperature", "-1"}), {"temperature is -1"});
  refuses("generate", p({"--temperature", "hot"}), {"--temperature", "hot"});
  refuses("generate", p({"--top-p", "0"}), {"top_p is 0"});
  refuses("generate", p({"--seed", "-1"}), {"--seed", "-1"});
  refuses("generate", p({"--chat", "polite"}), {"--chat is 'polite'", "plain, llama2, llama3, chatml or vicuna"});
  refuses("generate", p({"--positions", "elsewhere"}), {"--positions is 'elsewhere'", "original, in_cache"});
  refuses("generate", p({"--policy", "roco", "--budget", "12", "--bound", "all"}), {"--bound is 'all'", "prompt, generated or both"});
  refuses("generate", p({"--policy", "snapkv", "--budget", "12", "--bound", "generated"}), {"--bound is 'generated'", "snapkv has no rule for it"});
  refuses("generate", p({"--policy", "tova", "--budget", "12", "--bound", "decoding", "--pin", "1:2"}), {"--bound is 'decoding'", "leave --pin out"});
  refuses("generate", p({"--prefill", "some"}), {"--prefill is 'some'", "whole, fit or chunk:N"});
  refuses("generate", p({"--prefill", "chunk:0"}), {"--prefill is 'chunk:0'", "N from 1"});
  refuses("generate", p({"--prefill", "fit", "--decode-first-token"}), {"--decode-first-token", "leave --prefill out"});
  refuses("generate", p({"--executor", "cuda"}), {"--executor is cuda", "serial"});
  refuses("generate", p({"--executor", "parallel:0"}), {"--executor is 'parallel:0'", "1 to 1024"});
  refuses("generate", p({"--record", (p.folder / "t.safetensors").string(), "--record-layer", "2"}), {"--record-layer is 2", "layers 0 to 1"});
  refuses("generate", p({"--text-only", "--json"}), {"--text-only", "--json"});
  refuses("generate", p({"--no-such-option"}), {"--no-such-option", "--help"});
  refuses("perplexity", p({"--text", p.text, "--from", "400"}), {"--from is 400"});
  refuses("perplexity", p({"--text", p.text, "--from", "0"}), {"--from is 0"});
  refuses("perplexity", p({"--text", p.text, "--window", "1"}), {"--window is 1"});
  refuses("perplexity", p({"--text", p.text, "--tokens", "1"}), {"--tokens is 1"});
  refuses("perplexity", p({"--text", p.text, "--prefill", "0"}), {"--prefill is 0"});
  refuses("perplexity", p({"--text", p.text, "--prefill", "some"}), {"--prefill is 'some'", "tokens, whole, fit or chunk:N"});
  refuses("perplexity", p({"--text", p.text, "--prefill", "chunk:x"}), {"--prefill is 'chunk:x'", "N from 1"});
  refuses("perplexity", p({"--text", p.text, "--prefill", "fit", "--policy", "roco", "--budget", "12", "--bound", "generated"}),
          {"--bound is 'generated'", "--prefill N"});
  refuses("passkey", p({"--prompts", "0"}), {"--prompts is 0"});
  refuses("passkey", p({"--depths", "0"}), {"--depths is 0"});
}

TEST_CASE("models that are none") {
  place const p;
  refuses("generate", {"--model", (p.folder / "none.bin").string()}, {"none.bin", "no such file"});
  refuses("generate", {"--model", p.file("short.bin", "abc")}, {"short.bin"});
  refuses("generate", {"--model", p.folder.string()}, {"config.json"});
  refuses("generate", p({"--tokenizer", p.file("short.tok", "abc")}), {"short.tok"});
}

TEST_CASE("outputs that cannot be written: refused before any work, and no file is left") {
  place const p;
  temporary_folder const out;
  std::string const nowhere = (out / "no/such/folder/map.svg").string();
  refuses("generate", p({"--retention-map", nowhere}), {"--retention-map", "cannot be written"});
  refuses("generate", p({"--record", nowhere}), {"--record", "cannot be written"});
  refuses("generate", p({"--retention-map", out.string()}), {"--retention-map", "is a folder"});
  refuses("generate", p({"--out", p.text + "/below"}), {"--out", "cannot be made a folder"});
  refuses("perplexity", p({"--text", p.text, "--out", p.text}), {"--out"});
  if (::geteuid() != 0) {  // root may write anywhere
    ::chmod(out.string().c_str(), 0555);
    refuses("generate", p({"--out", out.string()}), {"--out", "Permission denied"});
    ::chmod(out.string().c_str(), 0755);
  }
  refuses("generate", p({"--policy", "nonsense", "--out", (out / "new").string()}), {"nonsense"});
  CHECK(out.files() == 0);
}

TEST_CASE("--help has an example, and status 0") {
  for (std::string const program : {"generate", "perplexity", "passkey"}) {
    finished const f = run_program(program, {"--help"});
    CHECK(f.status == 0);
    CHECK(f.out.find("Example:") != std::string::npos);
    CHECK(f.err == "");
  }
}

TEST_CASE("names that are near, commands and positions that are none") {
  place const p;
  refuses("generate", p({"--policy", "rocoo", "--budget", "8"}), {"--policy is 'rocoo'", "did you mean roco?"});
  refuses("generate", p({"--budget", "8", "--positions", "rotary"}), {"--positions is 'rotary'", "give original"});
  refuses("lab", {"reprot", "results"}, {"'reprot' is no command of lab", "report"});
  refuses("generate", p({"these", "words"}), {"'these' 'words' are no options"});
  finished const help = run_program("lab", {"experiment", "--help"});
  CHECK(help.status == 0);
  CHECK(help.out.find("Usage: lab experiment") != std::string::npos);
}

TEST_CASE("policies that only cut prompts, where there is none to cut") {
  place const p;
  arguments const asked{"--text", p.text, "--policy", "snapkv", "--set", "window=4", "--budget", "12"};
  refuses("lab", p({"--tasks", "perplexity", "--text", p.text, "--policy", "snapkv", "--set", "window=4", "--budget", "12"}), {"nothing to run", "perplexity"});
  finished const f = run_program("perplexity", p(asked));
  CHECK(f.status == 0);
  CHECK(f.err == "snapkv: it cuts prompts alone, and this one has 1 tokens, which fit into 12 slots: nothing goes\n");
  arguments with_prompt = asked;
  with_prompt.insert(with_prompt.end(), {"--prefill", "20"});
  CHECK(run_program("perplexity", p(with_prompt)).err == "");
  refuses("perplexity", p({"--text", p.text, "--policy", "tova", "--budget", "12", "--bound", "prompt", "--prefill", "chunk:5"}), {"--bound is 'prompt'", "--prefill N"});
}

}  // namespace
