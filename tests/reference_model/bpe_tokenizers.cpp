// Byte-pair tokenizers of Hugging Face: the tokens that its own library gives, and any bytes.
// tests/data/tokenizers/make.py makes the files and the expectations.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <reference_model/text/added_tokens.hpp>
#include <reference_model/text/load_tokenizer.hpp>
#include <reference_model/text/split_syntax.hpp>

#include <support/seeds.hpp>

#include "expect_bad_file.hpp"
#include "shared_data.hpp"
#include "tokenizer_files.hpp"

namespace {

using namespace reference_model;
using nlohmann::json;
json const& expected() {
  static json const all = json::parse(tokenizer_text("expected"));
  return all;
}

char const* const names[] = {
    "gpt2", "llama3", "qwen2", "smollm2", "sentence_piece", "metaspace_first", "metaspace_always", "unknown"};

// The tokens that the library gave, with and without those in front; an empty text is BOS where it has none. And the
// text they give back, which differs from the library's in two things: a BOS within the text takes the space behind it
// along, and an added token is written as it stands, whatever its characters would mean as bytes.
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
    for (std::size_t j = 0; j < wanted.size(); ++j)
      decoded += words.piece(j == 0 ? words.bos() : wanted[j - 1], wanted[j]);
    json const& others = rows["decoded"];
    CHECK(decoded == (others.contains(std::to_string(i)) ? others[std::to_string(i)].get<std::string>() : text));
  }
}

TEST_CASE("tokens and texts are those of Hugging Face's library, for every kind of file and script") {
  NEEDS_ICU();
  for (std::string const name : names) check_expected(tokenizer_of(tokenizer_text(name)), name);
}

TEST_CASE("vocab.json with merges.txt gives what the same tokenizer's tokenizer.json gives") {
  NEEDS_ICU();
  check_expected(*load_tokenizer((tokenizer_folder / "vocab.json").string(), "", config_of(1000, 0)), "gpt2");
  check_expected(*load_tokenizer((tokenizer_folder / "merges.txt").string(), "", config_of(1000, 0)), "gpt2");
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
      {"Утром хлеба не было.", {140, 96,    20375, 21169, 25443, 120,   220, 141,   227,   30143, 16843, 140,
                                109, 16142, 12466, 121,   16843, 12466, 109, 45035, 30143, 15166, 13}},
      {"朝、パン屋が店を開けた。",
       {17312, 251, 23513, 32546, 6527, 161, 109, 233, 35585, 41753, 245, 31758, 38461, 233, 2515, 239, 25224, 16764}},
      {"👩‍🍳 👍🏽 🇩🇪",
       {41840, 102, 447, 235, 8582, 235, 111, 50169, 235, 8582, 237, 121, 12520, 229, 102, 8582, 229, 103}},
      {"one<|endoftext|>two", {505, 50256, 11545}},
      {"الخباز आटा 밀가루", {23525, 148,   106, 39848, 34247, 110, 28225, 228, 11976, 253,
                             48077, 31619, 108, 222,   166,   108, 222,   167, 96,    101}}};
  for (auto const& row : rows) {
    INFO(row.first);
    CHECK(words->encode(row.first) == row.second);
    CHECK(words->decode(row.second) == row.first);
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
    bpe_tokenizer const words = tokenizer_of(tokenizer_text(name));
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
  bpe_tokenizer const qwen = tokenizer_of(tokenizer_text("qwen2")),
                      llama = tokenizer_of(tokenizer_text("sentence_piece"));
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
    bpe_tokenizer const words = tokenizer_of(tokenizer_text(name));
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

TEST_CASE("digits are all of Unicode's numbers, each by itself or together") {
  NEEDS_ICU();
  auto const cut = [](std::string const& text, bool individual) {
    std::vector<text_piece> pieces;
    digits_stage(individual)({text, true}, pieces);
    std::string out;
    for (text_piece const& piece : pieces) out += "(" + piece.text + ")";
    return out;
  };
  CHECK(cut("a12½Ⅳ٣b", true) == "(a)(1)(2)(½)(Ⅳ)(٣)(b)");
  CHECK(cut("a12½Ⅳ٣b 一", false) == "(a)(12½Ⅳ٣)(b 一)");
}

TEST_CASE("patterns: what Oniguruma and ICU read alike is taken, what not is named") {
  for (char const* pattern :
       {R"('s|'t| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", R"((?i:'s|(?:'re))|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})",
        R"([\p{Lu}\p{M}]*[\p{Ll}]+(?i:'s)?|[^\s\p{L}]+[\r\n/]*)", R"([!-/\[\]\\-]|[一-龥]+|a++b*?)", ""})
    CHECK(split_syntax::refused(pattern) == "");
  std::pair<char const*, char const*> const refused[] = {{"a.b", "."},
                                                         {"^a", "^"},
                                                         {"a$", "$"},
                                                         {R"(\w+)", "\\w"},
                                                         {R"(\h)", "\\h"},
                                                         {"[a[b]]", "["},
                                                         {"[a&&b]", "&&"},
                                                         {"[]a]", "["},
                                                         {R"(\p{Greek})", "\\p{Greek}"},
                                                         {R"(\p{^L})", "\\p{^L}"},
                                                         {"(?<=a)b", "(?<"},
                                                         {"(?m)a", "(?m"},
                                                         {"(?>a)", "(?>"},
                                                         {"a{2}+", "{2}+"},
                                                         {"a+?+", "+?+"},
                                                         {"a{,3}", "{,3"},
                                                         {"a{x}", "{"},
                                                         {"(?i:[ab])", "["},
                                                         {R"((?i:\p{L}))", "\\p{L}"},
                                                         {"[a", "[a"},
                                                         {"\\", "\\"},
                                                         {"a]", "]"},
                                                         {R"(\x41)", "\\x"},
                                                         {R"(\1)", "\\1"}};
  for (auto const& row : refused) {
    std::string const said = split_syntax::refused(row.first);
    INFO(row.first, " said ", said);
    CHECK(said.find(row.second) != std::string::npos);
  }
  CHECK(split_syntax::refused(std::string("a\0b", 3)) == "the character NUL");
  if (!has_unicode()) return;
  expect_bad_file("f", {"split is '(a'", "no regular expression"}, [] { text_pattern("f", "split", "(a"); });
  expect_bad_file("f", {"split cannot be applied to 41 bytes", "simpler pattern"},
                  [] { text_pattern("f", "split", "(?:a+)+(?:a+)+(?:a+)+b").matches(std::string(41, 'a')); });
}

}  // namespace
