// Byte-pair tokenizers of Hugging Face: the tokens that its own library gives, any bytes, and files that are refused.
// tests/data/tokenizers/make.py makes the files and the expectations.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <reference_model/text/added_tokens.hpp>
#include <reference_model/text/load_tokenizer.hpp>
#include <reference_model/text/split_syntax.hpp>
#include <reference_model/text/tokenizer_json.hpp>
#include <reference_model/text/unicode.hpp>
#include <reference_model/text/utf8.hpp>

#include <support/files.hpp>
#include <support/seeds.hpp>

#include "expect_bad_file.hpp"
#include "shared_data.hpp"
#include "temporary_folder.hpp"

namespace {

using namespace reference_model;
using nlohmann::json;
using tokens = std::vector<std::uint32_t>;

std::filesystem::path const data = std::filesystem::path(KVSIFT_SOURCE_DIR) / "tests/data/tokenizers";

#define NEEDS_ICU()                                                  \
  do {                                                               \
    if (!has_unicode()) {                                            \
      MESSAGE("skipped: this build is without ICU (libicu-dev)"); \
      return;                                                        \
    }                                                                \
  } while (false)

config config_of(std::uint32_t vocab, std::uint32_t bos) {
  config c;
  c.vocab = vocab;
  c.bos = bos;
  c.ends = {bos};
  return c;
}

json const& expected() {
  static json const all = json::parse(support::read_file(data / "expected.json"));
  return all;
}

std::string file_of(std::string const& name) { return support::read_file(data / (name + ".json")); }

bpe_tokenizer read(std::string const& text, std::uint32_t vocab = 1000) {
  return read_tokenizer_json("tokenizer.json", text, config_of(vocab, 0));
}

char const* const names[] = {"gpt2",           "llama3",          "qwen2",            "smollm2",
                             "sentence_piece", "metaspace_first", "metaspace_always", "unknown"};

// The tokens that the library gave, with and without those in front; an empty text is BOS where it has none. And the text
// they give back, which differs from the library's in two things: a BOS within the text takes the space behind it along,
// and an added token is written as it stands, whatever its characters would mean as bytes.
void check_expected(tokenizer const& words, std::string const& name) {
  json const& texts = expected()["texts"];
  json const& rows = expected()[name];
  std::size_t const front = rows["tokens"][0].size();  // of the empty text
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::string const text = texts[i];
    INFO(name, " ", i, ": ", text);
    tokens wanted = rows["tokens"][i];
    CHECK(words.encode(text) == (wanted.empty() ? tokens{words.bos()} : wanted));
    wanted.erase(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(front));
    CHECK(words.encode(text, false) == wanted);
    bool const has_bos = std::find(wanted.begin(), wanted.end(), words.bos()) != wanted.end();
    if (has_bos || (name == "qwen2" && text.find("mark") != std::string::npos)) continue;
    std::string decoded;
    for (std::size_t j = 0; j < wanted.size(); ++j) decoded += words.piece(j == 0 ? words.bos() : wanted[j - 1], wanted[j]);
    json const& others = rows["decoded"];
    CHECK(decoded == (others.contains(std::to_string(i)) ? others[std::to_string(i)].get<std::string>() : text));
  }
}

TEST_CASE("tokens and texts are those of Hugging Face's library, for every kind of file and script") {
  NEEDS_ICU();
  for (std::string const name : names) check_expected(read(file_of(name)), name);
}

TEST_CASE("vocab.json with merges.txt gives what the same tokenizer's tokenizer.json gives") {
  NEEDS_ICU();
  check_expected(*load_tokenizer((data / "vocab.json").string(), "", config_of(1000, 0)), "gpt2");
  check_expected(*load_tokenizer((data / "merges.txt").string(), "", config_of(1000, 0)), "gpt2");
}

TEST_CASE("GPT-2's own files give its tokens") {
  NEEDS_ICU();
  std::filesystem::path const folder = shared_file("data/tokenizers/gpt2");
  NEEDS_SHARED(folder);
  auto const words = load_tokenizer(folder.string(), "", config_of(50257, 50256));
  std::pair<std::string, tokens> const rows[] = {
      {"Hello, world!", {15496, 11, 995, 0}},
      {"The baker didn't know; they've 12345 loaves.",
       {464, 46412, 1422, 470, 760, 26, 484, 1053, 17031, 2231, 2376, 3080, 13}},
      {"  two   spaces\n\n\tand a tab \r\n", {220, 734, 220, 220, 9029, 628, 197, 392, 257, 7400, 220, 201, 198}},
      {"Größe, café, naïve", {8642, 9101, 39683, 68, 11, 40304, 11, 41492}},
      {"Утром хлеба не было.",
       {140, 96, 20375, 21169, 25443, 120, 220, 141, 227, 30143, 16843, 140, 109, 16142, 12466, 121, 16843, 12466, 109,
        45035, 30143, 15166, 13}},
      {"朝、パン屋が店を開けた。",
       {17312, 251, 23513, 32546, 6527, 161, 109, 233, 35585, 41753, 245, 31758, 38461, 233, 2515, 239, 25224, 16764}},
      {"👩‍🍳 👍🏽 🇩🇪",
       {41840, 102, 447, 235, 8582, 235, 111, 50169, 235, 8582, 237, 121, 12520, 229, 102, 8582, 229, 103}},
      {"one<|endoftext|>two", {505, 50256, 11545}},
      {"الخباز आटा 밀가루",
       {23525, 148, 106, 39848, 34247, 110, 28225, 228, 11976, 253, 48077, 31619, 108, 222, 166, 108, 222, 167, 96, 101}}};
  for (auto const& [text, wanted] : rows) {
    INFO(text);
    CHECK(words->encode(text) == wanted);
    CHECK(words->decode(wanted) == text);
  }
  CHECK(words->encode("") == tokens{50256});
  CHECK(words->ends(50256));
  CHECK(words->piece(0, 50256) == "<|endoftext|>");
}

std::string random_bytes(std::mt19937_64& random, std::size_t size) {
  std::string bytes;
  char const* const parts[] = {"a", " ", "\n", "the", "1", "é", "e\u0301", "\u2581", "<s>", "面", "🍞", "'s"};
  while (bytes.size() < size)
    if (random() % 3 == 0)
      bytes += static_cast<char>(random());
    else
      bytes += parts[random() % 12];
  return bytes;
}

TEST_CASE("any bytes are encoded, and come back") {
  NEEDS_ICU();
  for (std::string const name : {"gpt2", "llama3", "smollm2", "qwen2", "sentence_piece"}) {
    bpe_tokenizer const words = read(file_of(name));
    support::for_each_seed(200, [&](std::uint64_t seed) {
      std::mt19937_64 random(seed);
      std::string const bytes = random_bytes(random, random() % 80);
      tokens const ids = words.encode(bytes, false);
      CHECK(std::all_of(ids.begin(), ids.end(), [&](std::uint32_t id) { return id < words.vocab(); }));
      // An NFC and the marks of spaces change the text; the bytes that are no characters stay.
      if (name == "qwen2" || name == "sentence_piece") return;
      CHECK(words.decode(ids) == bytes);
    });
  }
  bpe_tokenizer const qwen = read(file_of("qwen2")), llama = read(file_of("sentence_piece"));
  CHECK(qwen.decode(qwen.encode("e\xff\xcc\x81 e\xcc\x81\xe2\x82", false)) == "e\xff\xcc\x81 \xc3\xa9\xe2\x82");
  CHECK(llama.encode("\xff", false).back() == 3 + 0xff);
  CHECK(llama.decode(llama.encode("\xff\xc3z\xa9", true)) == "\xff\xc3z\xa9");
}

// The pair of the lowest rank that stands furthest left, until there is none.
tokens merged_slowly(tokens symbols, std::vector<token_merge> const& merges) {
  for (;;) {
    std::size_t best = merges.size(), at = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
      for (std::size_t rank = 0; rank < best; ++rank)
        if (merges[rank].left == symbols[i] && merges[rank].right == symbols[i + 1]) best = rank, at = i;
    if (best == merges.size()) return symbols;
    symbols[at] = merges[best].merged;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST_CASE("merges are those of the slow definition") {
  support::for_each_seed(400, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    bpe_parts parts;
    parts.tokens = {"a", "b", "c"};
    for (int i = 0; i < 20; ++i) {
      std::uint32_t const left = static_cast<std::uint32_t>(random() % parts.tokens.size()),
                          right = static_cast<std::uint32_t>(random() % parts.tokens.size());
      std::string const both = *parts.tokens[left] + *parts.tokens[right];
      auto const known = std::find(parts.tokens.begin(), parts.tokens.end(), both);
      bool const twice = std::any_of(parts.merges.begin(), parts.merges.end(),
                                     [&](token_merge const& m) { return m.left == left && m.right == right; });
      if (both.size() > 8 || twice) continue;
      parts.merges.push_back({left, right, static_cast<std::uint32_t>(known - parts.tokens.begin())});
      if (known == parts.tokens.end()) parts.tokens.emplace_back(both);
    }
    std::shuffle(parts.merges.begin(), parts.merges.end(), random);
    std::vector<token_merge> const merges = parts.merges;
    bpe_tokenizer const words(parts, config_of(100, 99));
    for (int i = 0; i < 4; ++i) {
      std::string text;
      tokens symbols;
      for (std::size_t n = random() % 60; n > 0; --n) {
        symbols.push_back(static_cast<std::uint32_t>(random() % 3));
        text += "abc"[symbols.back()];
      }
      CHECK(words.encode(text, false) == merged_slowly(symbols, merges));
    }
  });
}

TEST_CASE("a megabyte without a space, or of spaces alone, is encoded in seconds") {
  NEEDS_ICU();
  std::string mixed;
  std::mt19937_64 random(5);
  for (int i = 0; i < 1'000'000; ++i) mixed += "abcdefgh"[random() % 8];
  std::string const texts[] = {std::string(1'000'000, 'a'), std::string(1'000'000, ' '), std::string(1'000'000, '\n'),
                               std::string(1'000'000, '7'), mixed};
  for (std::string const name : {"gpt2", "llama3", "smollm2", "sentence_piece"}) {
    bpe_tokenizer const words = read(file_of(name));
    for (std::string const& text : texts) {
      auto const begin = std::chrono::steady_clock::now();
      CHECK(words.decode(words.encode(text)) == text);
      double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      CHECK(seconds < 60);  // a quadratic merge takes hours; a slow machine under sanitizers does not
    }
  }
}

TEST_CASE("added tokens: the longest of those that begin first, with the space beside them if they take it") {
  added_tokens found;
  found.add({"<a>", 1, false, false, false, false});
  found.add({"<a>b", 2, false, false, false, false});
  found.add({"x", 3, true, true, false, false});
  found.add({"", 4, false, false, false, false});
  auto const cut = [&](std::string const& text) {
    std::string out;
    found.cut(
        text, [&](std::size_t begin, std::size_t end) { out += "(" + text.substr(begin, end - begin) + ")"; },
        [&](added_token const& token) { out += std::to_string(token.id); });
    return out;
  };
  CHECK(cut("").empty());
  CHECK(cut("plain") == "(plain)");
  CHECK(cut("<a>b<a><a") == "21(<a)");
  CHECK(cut("a<a>\xff") == "(a)1(\xff)");
  CHECK(cut("a \xe2\x80\x83x\n x  b") == "(a)33(b)");
  CHECK(cut("\xa0x\x85") == "(\xa0)3(\x85)");  // bytes that are no characters are no space
}

TEST_CASE("patterns: what Oniguruma and ICU read alike is taken, what not is named") {
  for (char const* pattern :
       {R"('s|'t| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", R"((?i:'s|(?:'re))|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})",
        R"([\p{Lu}\p{M}]*[\p{Ll}]+(?i:'s)?|[^\s\p{L}]+[\r\n/]*)", R"([!-/\[\]\\-]|[一-龥]+|a++b*?)", ""})
    CHECK(split_syntax::refused(pattern) == "");
  std::pair<char const*, char const*> const refused[] = {
      {"a.b", "."},        {"^a", "^"},           {"a$", "$"},       {R"(\w+)", "\\w"},       {R"(\h)", "\\h"},
      {"[a[b]]", "["},     {"[a&&b]", "&&"},      {"[]a]", "["},     {R"(\p{Greek})", "\\p{Greek}"},
      {R"(\p{^L})", "\\p{^L}"}, {"(?<=a)b", "(?<"}, {"(?m)a", "(?m"}, {"(?>a)", "(?>"},        {"a{2}+", "{2}+"},
      {"a+?+", "+?+"},     {"a{,3}", "{,3"},      {"a{x}", "{"},     {"(?i:[ab])", "["},      {R"((?i:\p{L}))", "\\p{L}"},
      {"[a", "[a"},        {"\\", "\\"},          {"a]", "]"},       {R"(\x41)", "\\x"},      {R"(\1)", "\\1"}};
  for (auto const& [pattern, named] : refused) {
    std::string const said = split_syntax::refused(pattern);
    INFO(pattern, " said ", said);
    CHECK(said.find(named) != std::string::npos);
  }
  CHECK(split_syntax::refused(std::string("a\0b", 3)) == "the character NUL");
  if (!has_unicode()) return;
  expect_bad_file("f", {"split is '(a'", "no regular expression"}, [] { text_pattern("f", "split", "(a"); });
  expect_bad_file("f", {"split cannot be applied to 41 bytes", "simpler pattern"},
                  [] { text_pattern("f", "split", "(?:a+)+(?:a+)+(?:a+)+b").matches(std::string(41, 'a')); });
}

// ---- What is refused ----

json tiny() {
  return json::parse(R"({"version": "1.0", "added_tokens": [{"id": 4, "content": "<s>", "special": true}],
    "normalizer": null, "pre_tokenizer": null,
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}},
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<unk>": 3}, "merges": ["a b"], "unk_token": "<unk>"}})");
}

TEST_CASE("tokenizer.json: the smallest one") {
  bpe_tokenizer const words = read(tiny().dump());
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
      {"/normalizer", R"({"type": "Sequence", "normalizers": [{"type": "Lowercase"}]})", {"normalizer.normalizers[0].type is \"Lowercase\""}},
      {"/normalizer", R"({"type": "Replace", "pattern": {"Regex": "a"}, "content": ""})", {"normalizer.pattern is", "String"}},
      {"/normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": ""})", {"empty string"}},
      {"/normalizer", R"({"type": "Prepend"})", {"normalizer.prepend is missing"}},
      {"/pre_tokenizer", R"({"type": "Whitespace"})", {"pre_tokenizer.type is \"Whitespace\"", "Metaspace"}},
      {"/pre_tokenizer", R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Doubled"})", {"pre_tokenizer.behavior is \"Doubled\""}},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "ab"})", {"replacement is \"ab\"", "one character"}},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "often"})", {"prepend_scheme is \"often\""}},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": false, "prepend_scheme": "first"})", {"add_prefix_space"}},
      {"/post_processor", R"({"type": "RobertaProcessing"})", {"post_processor.type is \"RobertaProcessing\""}},
      {"/post_processor/single", R"([{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<s>"}}])", {"post_processor.single[1].SpecialToken", "behind a text"}},
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
    expect_bad_file("tokenizer.json", r.words, [&] { read(changed.dump()); });
  }
  expect_bad_file("tokenizer.json", {"no valid JSON"}, [] { read("{\"model\": NaN}"); });
  expect_bad_file("tokenizer.json", {"'a' occurs twice"}, [] { read(R"({"model": {"vocab": {"a": 0, "a": 1}}})"); });
  expect_bad_file("tokenizer.json", {"another model"}, [] { read(file_of("unknown"), 100); });
}

TEST_CASE("tokenizer.json: bytes and what goes with them") {
  NEEDS_ICU();
  json const good = json::parse(file_of("gpt2"));
  auto const with = [&](char const* place, char const* value) {
    json changed = good;
    changed[json::json_pointer(place)] = json::parse(value);
    return changed.dump();
  };
  auto const refused = [](std::string const& text, std::initializer_list<char const*> words) {
    expect_bad_file("tokenizer.json", words, [&] { read(text); });
  };
  refused(with("/model/byte_fallback", "true"), {"byte_fallback", "ByteLevel"});
  refused(with("/decoder", R"({"type": "Fuse"})"), {"decoder has no ByteLevel", "pre_tokenizer has one"});
  refused(with("/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})"),
          {"pretokenizers[0].type is \"ByteLevel\"", "the last"});
  refused(with("/pre_tokenizer", R"({"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "\\w+"}})"),
          {"pre_tokenizer.pattern.Regex is '\\w+'", "'\\w' is not implemented"});
  // A space in front, and pieces that the split leaves whole.
  CHECK(read(with("/pre_tokenizer/add_prefix_space", "true")).encode("the") == read(good.dump()).encode(" the"));
  CHECK(read(with("/pre_tokenizer/use_regex", "false")).decode(read(good.dump()).encode("a b")) == "a b");
  // A byte without a token is the unknown one's, or left out.
  json less = good;
  less["model"]["vocab"].erase("z");
  CHECK(read(less.dump()).encode("z1").size() == 1);
  less["model"]["unk_token"] = "<|endoftext|>";
  CHECK(read(less.dump()).encode("zz1").size() == 3);
  less["model"]["fuse_unk"] = true;
  CHECK(read(less.dump()).encode("zz1").size() == 2);
}

TEST_CASE("tokenizer.json: damaged bytes give a tokenizer or one clear line, nothing else") {
  std::string const good = tiny().dump(), other = file_of("llama3");
  support::for_each_seed(1000, [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string bytes = seed % 8 == 0 && has_unicode() ? other : good;
    for (int i = 0; i < 2; ++i) bytes[random() % bytes.size()] = static_cast<char>(random() % 128);
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    if (std::string const line = complaint_of([&] { read(bytes).encode("ab <s> \xff"); }); !line.empty())
      CHECK(line.rfind("tokenizer.json: ", 0) == 0);
  });
}

TEST_CASE("a folder's tokenizer: tokenizer.json, then vocab.json with merges.txt, then tokenizer.bin; or a file by name") {
  NEEDS_ICU();
  temporary_folder folder;
  config const c = config_of(1000, 0);
  std::string const path = folder.path().string();
  expect_bad_file(path, {"holds no tokenizer", "tokenizer.json", "name another"}, [&] { load_tokenizer(path, "", c); });
  folder.write("tokenizer.bin", "");
  expect_bad_file((folder / "tokenizer.bin").string(), {"truncated"}, [&] { load_tokenizer("", folder.path(), c); });
  folder.write("vocab.json", support::read_file(data / "vocab.json"));
  expect_bad_file((folder / "tokenizer.bin").string(), {"truncated"}, [&] { load_tokenizer("", folder.path(), c); });
  expect_bad_file((folder / "merges.txt").string(), {"no such file"}, [&] { load_tokenizer(path + "/vocab.json", "", c); });
  folder.write("merges.txt", "#version: 0.2\r\n\xc4\xa0 t\r\n\r\nh e\r\n");
  CHECK(load_tokenizer("", folder.path(), c)->decode(load_tokenizer(path, "", c)->encode("the t")) == "the t");
  folder.write("merges.txt", "#version: 0.2\nh e\nx\n");
  expect_bad_file((folder / "merges.txt").string(), {"merge 1 is 'x'"}, [&] { load_tokenizer("", folder.path(), c); });
  folder.write("merges.txt", "h e\nt qqq\n");
  expect_bad_file((folder / "merges.txt").string(), {"merge 1, 't' and 'qqq'", "'qqq'"}, [&] { load_tokenizer(path, "", c); });
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer"})");
  expect_bad_file((folder / "tokenizer_config.json").string(), {"Qwen2Tokenizer", "tokenizer.json"},
                  [&] { load_tokenizer(path, "", c); });
  folder.write("tokenizer.json", tiny().dump());
  CHECK(load_tokenizer("", folder.path(), c)->encode("ab") == tokens{4, 2});
  CHECK(load_tokenizer("", folder / "model.safetensors", c)->encode("ab") == tokens{4, 2});
  CHECK(load_tokenizer(path, "elsewhere", c)->encode("ab") == tokens{4, 2});
  CHECK(load_tokenizer(folder.write("other.json", tiny().dump()).string(), "elsewhere", c)->encode("ab") == tokens{4, 2});
  expect_bad_file("absent.json", {"no such file"}, [&] { load_tokenizer("absent.json", "", c); });
}

}  // namespace
