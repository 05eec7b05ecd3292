// Files of byte-pair tokenizers: which are found, and what is refused with one line each.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <reference_model/text/load_tokenizer.hpp>

#include <support/seeds.hpp>

#include "expect_bad_file.hpp"
#include "temporary_folder.hpp"
#include "tokenizer_files.hpp"

namespace {

using namespace reference_model;
using nlohmann::json;

json tiny() {
  return json::parse(R"({"version": "1.0", "added_tokens": [{"id": 4, "content": "<s>", "special": true}],
    "normalizer": null, "pre_tokenizer": null,
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}},
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<unk>": 3}, "merges": ["a b"], "unk_token": "<unk>"}})");
}

TEST_CASE("tokenizer.json: the smallest one") {
  bpe_tokenizer const words = tokenizer_of(tiny().dump());
  CHECK(words.bos() == 4);  // the file's, whatever the model says
  CHECK(words.encode("abb<s>?") == tokens{4, 2, 1, 4, 3});
  CHECK(words.encode("") == tokens{4});
  CHECK(words.special(4));
  CHECK_FALSE(words.special(3));
  CHECK(words.piece(1, 999).empty());
  CHECK(words.piece(1, 1000).empty());
}

TEST_CASE("tokenizer.json: what would change the tokens and is not implemented is refused by name") {
  struct row {
    char const* place;  // a JSON pointer
    char const* value;
    std::initializer_list<char const*> words;
  };
  row const rows[] = {
      {"/truncation", R"({"max_length": 5})", {"truncation is", "not implemented"}},
      {"/padding", R"({"strategy": "BatchLongest"})", {"padding is"}},
      {"/version", R"("2.0")", {"version is \"2.0\""}},
      {"/novelty", "1", {"novelty is 1"}},
      {"/added_tokens", "{}", {"added_tokens is {}", "a list"}},
      {"/added_tokens/0", "3", {"added_tokens[0] is 3", "an object"}},
      {"/added_tokens/0/id", "1000", {"added_tokens[0].id", "has id 1000", "1000 tokens", "another model"}},
      {"/added_tokens/0/id", "-1", {"has id -1", "whole number"}},
      {"/added_tokens/0/id", "1.0", {"has id 1.0"}},
      {"/added_tokens/0/id", "\"4\"", {"has id \"4\""}},
      {"/added_tokens/0/id", "null", {"added_tokens[0].id is missing"}},
      {"/added_tokens/0/id", "2", {"'<s>' has id 2", "'ab' has it already"}},
      {"/added_tokens/0/content", "\"ab\"", {"'ab' has id 4", "token 2 of the vocabulary"}},
      {"/added_tokens/0/single_word", "true", {"single_word is true", "not implemented"}},
      {"/added_tokens/0/special", "1", {"special is 1", "true or false"}},
      {"/normalizer", R"({"type": "NFKC"})", {"normalizer.type is \"NFKC\"", "NFC"}},
      {"/normalizer",
       R"({"type": "Sequence", "normalizers": [{"type": "Lowercase"}]})",
       {"normalizer.normalizers[0].type is \"Lowercase\""}},
      {"/normalizer",
       R"({"type": "Replace", "pattern": {"Regex": "a"}, "content": ""})",
       {"normalizer.pattern is", "String"}},
      {"/normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": ""})", {"empty string"}},
      {"/normalizer", R"({"type": "Prepend"})", {"normalizer.prepend is missing"}},
      {"/pre_tokenizer", R"({"type": "Whitespace"})", {"pre_tokenizer.type is \"Whitespace\"", "Metaspace"}},
      {"/pre_tokenizer",
       R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Doubled"})",
       {"pre_tokenizer.behavior is \"Doubled\""}},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "ab"})", {"replacement is \"ab\"", "one character"}},
      {"/pre_tokenizer",
       R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "often"})",
       {"prepend_scheme is \"often\""}},
      {"/pre_tokenizer",
       R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": false, "prepend_scheme": "first"})",
       {"add_prefix_space"}},
      {"/post_processor", R"({"type": "RobertaProcessing"})", {"post_processor.type is \"RobertaProcessing\""}},
      {"/post_processor/single",
       R"([{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<s>"}}])",
       {"post_processor.single[1].SpecialToken", "behind a text"}},
      {"/post_processor/single", "[]", {"post_processor.single is []", "A"}},
      {"/post_processor/single/0/SpecialToken/id", "\"<t>\"", {"special_tokens.<t> is missing"}},
      {"/post_processor/special_tokens/<s>/ids", "[1000]", {"has id 1000"}},
      {"/decoder", "null", {"decoder is null"}},
      {"/decoder", R"({"type": "CTC"})", {"decoder.type is \"CTC\""}},
      {"/decoder", R"({"type": "ByteLevel"})", {"decoder has a ByteLevel", "pre_tokenizer has none"}},
      {"/decoder", R"({"type": "ByteFallback"})", {"decoder has a ByteFallback"}},
      {"/decoder", R"({"type": "Strip", "content": " ", "start": 1, "stop": 1})", {"decoder.stop is 1"}},
      {"/decoder", R"({"type": "Strip", "content": "x", "start": 1, "stop": 0})", {"decoder.content is \"x\""}},
      {"/decoder", R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})", {"decoder.start is -1"}},
      {"/model", "null", {"model is missing"}},
      {"/model/type", "\"Unigram\"", {"model.type is \"Unigram\"", "BPE"}},
      {"/model/dropout", "0.1", {"model.dropout is 0.1"}},
      {"/model/continuing_subword_prefix", "\"##\"", {"continuing_subword_prefix is \"##\""}},
      {"/model/end_of_word_suffix", "\"</w>\"", {"end_of_word_suffix is \"</w>\""}},
      {"/model/byte_fallback", "true", {"byte_fallback is true", "<0x00>"}},
      {"/model/unk_token", "\"[UNK]\"", {"model.unk_token is '[UNK]'", "no token"}},
      {"/model/novelty", "true", {"model.novelty is true"}},
      {"/model/vocab", "null", {"model.vocab is missing"}},
      {"/model/vocab", "{}", {"model.vocab is empty"}},
      {"/model/vocab", "[]", {"model.vocab is []"}},
      {"/model/vocab/b", "0", {"has id 0", "has it already"}},
      {"/model/vocab/b", "1000", {"model.vocab 'b' has id 1000", "1000 tokens"}},
      {"/model/vocab/b", "1e300", {"model.vocab 'b' has id 1e+300", "whole number"}},
      {"/model/vocab/b", "18446744073709551615", {"has id 18446744073709551615"}},
      {"/model/vocab/", "5", {"names a token ''"}},
      {"/model/merges", "null", {"model.merges is missing"}},
      {"/model/merges", "{}", {"model.merges is {}", "a list"}},
      {"/model/merges", R"(["a b", "ab"])", {"model.merges 1 is 'ab'", "two tokens"}},
      {"/model/merges", R"(["a b "])", {"model.merges 0 is 'a b '"}},
      {"/model/merges", R"([" b"])", {"model.merges 0 is ' b'"}},
      {"/model/merges", R"([["a"]])", {"model.merges 0 is [\"a\"]"}},
      {"/model/merges", R"([["a", 1]])", {"model.merges 0 is"}},
      {"/model/merges", R"(["a x"])", {"model.merges 0, 'a' and 'x', needs the token 'x'", "not in the vocabulary"}},
      {"/model/merges", R"(["b a"])", {"needs the token 'ba'"}},
  };
  for (row const& r : rows) {
    json changed = tiny();
    changed[json::json_pointer(r.place)] = json::parse(r.value);
    INFO(r.place, " ", r.value);
    expect_bad_file("tokenizer.json", r.words, [&] { tokenizer_of(changed.dump()); });
  }
  expect_bad_file("tokenizer.json", {"no valid JSON"}, [] { tokenizer_of("{\"model\": NaN}"); });
  expect_bad_file("tokenizer.json", {"'a' occurs twice"},
                  [] { tokenizer_of(R"({"model": {"vocab": {"a": 0, "a": 1}}})"); });
  expect_bad_file("tokenizer.json", {"another model"}, [] { tokenizer_of(tokenizer_text("unknown"), 100); });
}

TEST_CASE("tokenizer.json: bytes and what goes with them") {
  NEEDS_ICU();
  json const good = json::parse(tokenizer_text("gpt2"));
  auto const with = [&](char const* place, char const* value) {
    json changed = good;
    changed[json::json_pointer(place)] = json::parse(value);
    return changed.dump();
  };
  auto const refused = [](std::string const& text, std::initializer_list<char const*> words) {
    expect_bad_file("tokenizer.json", words, [&] { tokenizer_of(text); });
  };
  refused(with("/model/byte_fallback", "true"), {"byte_fallback", "ByteLevel"});
  refused(with("/decoder", R"({"type": "Fuse"})"), {"decoder has no ByteLevel", "pre_tokenizer has one"});
  refused(
      with("/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})"),
      {"pretokenizers[0].type is \"ByteLevel\"", "the last"});
  refused(with("/pre_tokenizer", R"({"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "\\w+"}})"),
          {"pre_tokenizer.pattern.Regex is '\\w+'", "'\\w' is not implemented"});
  // A space in front, and pieces that the split leaves whole.
  CHECK(tokenizer_of(with("/pre_tokenizer/add_prefix_space", "true")).encode("the") ==
        tokenizer_of(good.dump()).encode(" the"));
  CHECK(tokenizer_of(with("/pre_tokenizer/use_regex", "false")).decode(tokenizer_of(good.dump()).encode("a b")) ==
        "a b");
  // A byte without a token is the unknown one's, or left out.
  json less = good;
  less["model"]["vocab"].erase("z");
  CHECK(tokenizer_of(less.dump()).encode("z1").size() == 1);
  less["model"]["unk_token"] = "<|endoftext|>";
  CHECK(tokenizer_of(less.dump()).encode("zz1").size() == 3);
  less["model"]["fuse_unk"] = true;
  CHECK(tokenizer_of(less.dump()).encode("zz1").size() == 2);
}

TEST_CASE("tokenizer.json: damaged bytes give a tokenizer or one clear line, nothing else") {
  std::string const good = tiny().dump(), other = tokenizer_text("llama3");
  support::for_each_seed(1000, [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string bytes = seed % 8 == 0 && has_unicode() ? other : good;
    for (int i = 0; i < 2; ++i) bytes[random() % bytes.size()] = static_cast<char>(random() % 128);
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    if (std::string const line = complaint_of([&] { tokenizer_of(bytes).encode("ab <s> \xff"); }); !line.empty())
      CHECK(line.rfind("tokenizer.json: ", 0) == 0);
  });
}

TEST_CASE(
    "a folder's tokenizer: tokenizer.json, then vocab.json with merges.txt, then tokenizer.bin; or a file by name") {
  NEEDS_ICU();
  temporary_folder folder;
  config const c = config_of(1000, 0);
  std::string const path = folder.path().string();
  expect_bad_file(path, {"holds no tokenizer", "tokenizer.json", "name another"}, [&] { load_tokenizer(path, "", c); });
  folder.write("tokenizer.bin", "");
  expect_bad_file((folder / "tokenizer.bin").string(), {"truncated"}, [&] { load_tokenizer("", folder.path(), c); });
  folder.write("vocab.json", support::read_file(tokenizer_folder / "vocab.json"));
  expect_bad_file((folder / "tokenizer.bin").string(), {"truncated"}, [&] { load_tokenizer("", folder.path(), c); });
  expect_bad_file((folder / "merges.txt").string(), {"no such file"},
                  [&] { load_tokenizer(path + "/vocab.json", "", c); });
  folder.write("merges.txt", "#version: 0.2\r\n\xc4\xa0 t\r\n\r\nh e\r\n");
  CHECK(load_tokenizer("", folder.path(), c)->decode(load_tokenizer(path, "", c)->encode("the t")) == "the t");
  folder.write("merges.txt", "#version: 0.2\nh e\nx\n");
  expect_bad_file((folder / "merges.txt").string(), {"merge 1 is 'x'"}, [&] { load_tokenizer("", folder.path(), c); });
  folder.write("merges.txt", "h e\nt qqq\n");
  expect_bad_file((folder / "merges.txt").string(), {"merge 1, 't' and 'qqq'", "'qqq'"},
                  [&] { load_tokenizer(path, "", c); });
  folder.write("merges.txt", "h e\n");
  config unnamed = c;  // of a model whose file names no BOS: an ordinary token is not cut out of words
  unnamed.bos = load_tokenizer(path, "", c)->encode("h").at(0);
  CHECK(load_tokenizer(path, "", unnamed)->encode("he").size() == 1);
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer"})");
  expect_bad_file((folder / "tokenizer_config.json").string(), {"Qwen2Tokenizer", "tokenizer.json"},
                  [&] { load_tokenizer(path, "", c); });
  folder.write("tokenizer.json", tiny().dump());
  CHECK(load_tokenizer("", folder.path(), c)->encode("ab") == tokens{4, 2});
  CHECK(load_tokenizer("", folder / "model.safetensors", c)->encode("ab") == tokens{4, 2});
  CHECK(load_tokenizer(path, "elsewhere", c)->encode("ab") == tokens{4, 2});
  CHECK(load_tokenizer(folder.write("other.json", tiny().dump()).string(), "elsewhere", c)->encode("ab") ==
        tokens{4, 2});
  expect_bad_file("absent.json", {"no such file"}, [&] { load_tokenizer("absent.json", "", c); });
}

}  // namespace
