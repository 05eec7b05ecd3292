// Tokenizers: merges by their definition, round trips, spaces, bytes, and files that are refused.

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <reference_model/text/llama2c_tokenizer.hpp>
#include <reference_model/text/load_tokenizer.hpp>
#include <reference_model/text/utf8.hpp>

#include <support/seeds.hpp>

#include "expect_bad_file.hpp"
#include "merge_oracle.hpp"
#include "temporary_folder.hpp"

namespace {

using namespace reference_model;
using tokens = std::vector<std::uint32_t>;

config config_of(std::size_t vocab) {
  config c;
  c.vocab = static_cast<std::uint32_t>(vocab);
  return c;
}

llama2c_tokenizer read(std::string bytes, std::size_t vocab) {
  return llama2c_tokenizer(file_source("tokenizer.bin", std::move(bytes)), config_of(vocab));
}
llama2c_tokenizer read(oracle::vocabulary const& v) { return read(v.file(), v.pieces.size()); }

std::string append_utf8(std::string text, std::uint32_t c) {
  auto const put = [&](std::uint32_t b) { text += static_cast<char>(static_cast<unsigned char>(b)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 63));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 63));
    put(0x80 | (c & 63));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 63));
    put(0x80 | (c >> 6 & 63));
    put(0x80 | (c & 63));
  }
  return text;
}

/// Valid UTF-8 of every length of character; often one of few letters, so that merges meet.
std::string random_text(std::mt19937_64& random, std::size_t characters) {
  std::string text;
  for (std::size_t i = 0; i < characters; ++i) {
    std::uint64_t const kind = random() % 8;
    if (kind < 5)
      text += "ab c\n"[random() % 5];
    else if (kind < 6)
      text = append_utf8(text, static_cast<std::uint32_t>(random() % 0xd800));
    else
      text = append_utf8(text, kind == 6 ? 0xe9u : 0xe000 + static_cast<std::uint32_t>(random() % (0x110000 - 0xe000)));
  }
  return text;
}

std::string random_bytes(std::mt19937_64& random, std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes += random() % 3 ? static_cast<char>(random()) : "a b"[random() % 3];
  return bytes;
}

/// Single letters and pieces that build on one another, with scores of few values, so that ties are common.
oracle::vocabulary random_vocabulary(std::mt19937_64& random) {
  std::vector<std::pair<std::string, float>> more{{" ", 0}, {"a", 0}, {"b", 0}, {"\xc3\xa9", 0}};
  if (random() % 4 == 0) more.erase(more.begin());
  for (int i = 0; i < 24; ++i) {
    std::string const piece = more[random() % more.size()].first + more[random() % more.size()].first;
    bool known = piece.size() > 12;
    for (auto const& [other, score] : more) known |= other == piece;
    if (!known) more.emplace_back(piece, -static_cast<float>(random() % 4));
  }
  return oracle::vocabulary(more);
}

TEST_CASE("llama2c: tokens are those of the slow definition, and give the text back") {
  support::for_each_seed(400, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    oracle::vocabulary const v = random_vocabulary(random);
    llama2c_tokenizer const words = read(v);
    for (int i = 0; i < 3; ++i) {
      std::string const text = i < 2 ? random_text(random, random() % 40) : random_bytes(random, random() % 60);
      if (i < 2) REQUIRE(valid_utf8(text));
      for (bool with_bos : {true, false}) CHECK(words.encode(text, with_bos) == oracle::encode(v, text, with_bos));
      CHECK(words.decode(words.encode(text)) == text);
    }
  });
}

TEST_CASE("llama2c: the space in front, BOS, bytes without a token") {
  oracle::vocabulary const v({{" ", 0}, {"a", 0}, {"b", 0}, {" a", -1}, {"ab", -1}, {"aba", -2}});
  llama2c_tokenizer const words = read(v);
  std::uint32_t const space = 259, a = 260, b = 261, space_a = 262, ab = 263, aba = 264;
  CHECK(words.vocab() == 265);
  CHECK(words.encode("") == tokens{1});
  CHECK(words.encode("", false).empty());
  CHECK(words.encode("b") == tokens{1, space, b});
  CHECK(words.encode("a") == tokens{1, space_a});
  CHECK(words.encode("ab", false) == tokens{space_a, b});  // of equal scores the leftmost
  CHECK(words.encode("bab", false) == tokens{space, b, ab});
  CHECK(words.encode("baba", false) == tokens{space, b, aba});
  CHECK(words.encode(" a", false) == tokens{space, space_a});
  CHECK(words.encode("\xe2\x82\xac", false) == tokens{space, 3 + 0xe2, 3 + 0x82, 3 + 0xac});
  CHECK(words.encode(std::string(1, '\0'), false) == tokens{space, 3});
  CHECK(words.decode({1, space_a, b, space_a}) == "ab a");  // only the space after BOS goes
  CHECK(words.decode({space_a, b}) == " ab");
  CHECK(words.decode({1, 3 + ' ', a}) == " a");  // a space that was a byte stays
  CHECK(words.piece(1, space) == "");
  CHECK(words.piece(a, 3 + 0xff) == "\xff");
  CHECK(words.piece(a, 265).empty());
  CHECK(words.ends(1));
  CHECK(words.ends(2));
  CHECK_FALSE(words.ends(3));
}

TEST_CASE("bytes: every byte is its token, and back") {
  config c = config_of(259);
  c.bos = 256;
  c.ends = {257, 258};
  bytes_tokenizer const bytes(c);
  CHECK(bytes.encode("") == tokens{256});
  CHECK(bytes.encode("\xff"
                     "A",
                     false) == tokens{255, 65});
  CHECK(bytes.piece(256, 257).empty());
  CHECK(bytes.ends(258));
  support::for_each_seed(200, [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string const text = random_bytes(random, random() % 200);
    CHECK(bytes.decode(bytes.encode(text)) == text);
    CHECK(bytes.decode(bytes.encode(text, false)) == text);
  });
  expect_bad_file("tokenizer bytes", {"vocab is 256"}, [] { bytes_tokenizer{config_of(256)}; });
  expect_bad_file("tokenizer bytes", {"BOS 1", "256"}, [] { bytes_tokenizer{config_of(512)}; });
}

TEST_CASE("a megabyte of text is encoded in seconds, whatever merges it meets") {
  oracle::vocabulary const v({{" ", 0}, {"a", 0}, {"b", 0}, {" a", -1}, {"aa", -2}, {"aaaa", -3}, {"aab", -4}});
  llama2c_tokenizer const words = read(v);
  std::mt19937_64 random(9);
  std::string mixed;
  for (int i = 0; i < 1'000'000; ++i) mixed += "ab "[random() % 3];
  for (std::string const& text : {std::string(1'000'000, 'a'), mixed}) {
    auto const begin = std::chrono::steady_clock::now();
    CHECK(words.decode(words.encode(text)) == text);
    double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    CHECK(seconds < 60);  // a quadratic merge takes hours; a slow machine under sanitizers does not
    MESSAGE("1 MB in ", seconds, " s");
  }
}

TEST_CASE("tokenizer.bin: what is refused") {
  oracle::vocabulary const v({{" ", 0}, {"a", 0}});
  std::string const good = v.file();
  std::size_t const vocab = v.pieces.size();
  auto const refused = [&](std::string const& bytes, std::size_t n, std::initializer_list<char const*> words) {
    expect_bad_file("tokenizer.bin", words, [&] { read(bytes, n); });
  };
  auto const with = [&](std::size_t at, auto number) {
    std::string bytes = good;
    std::memcpy(bytes.data() + at, &number, 4);
    return bytes;
  };
  for (std::size_t size = 0; size < good.size(); ++size) {
    std::string const line = complaint_of([&] { read(good.substr(0, size), vocab); });
    REQUIRE(line.find("truncated") != std::string::npos);
  }
  refused(good, vocab - 1, {"more than the 260 tokens", "another model"});
  refused(good, vocab + 1, {"holds 261 tokens", "262"});
  refused(good.substr(0, 4 + 8 + 5), 1, {"holds 1 tokens", "at least 259"});
  for (std::int32_t longest : {0, -1, 65537, std::numeric_limits<std::int32_t>::max()})
    refused(with(0, longest), vocab, {"longest piece is", std::to_string(longest).c_str(), "1 to 65536"});
  for (std::int32_t length :
       {-1, 8, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()})
    refused(with(8, length), vocab, {"token 0 has length", std::to_string(length).c_str()});
  for (float score : {NAN, INFINITY, -INFINITY}) refused(with(4, score), vocab, {"token 0", "score", "finite"});
  std::string renamed = good;
  renamed[good.find("<0x41>") + 4] = '2';
  refused(renamed, vocab, {"token 68 is '<0x42>'", "3 to 258", "export"});
  std::string const large((std::size_t{64} << 20) + 1, '\0');
  refused(large, vocab, {"67108865 bytes", "at most 67108864"});
}

TEST_CASE("tokenizer.bin: damaged bytes give a tokenizer or one clear line, nothing else") {
  std::string const good = oracle::vocabulary({{" ", 0}, {"a", 0}, {"aa", -1}}).file();
  support::for_each_seed(1000, [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string bytes = good;
    for (int i = 0; i < 2; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (std::string const line = complaint_of([&] { read(bytes, 262).encode("a aa \xff"); }); !line.empty())
      CHECK(line.rfind("tokenizer.bin: ", 0) == 0);
  });
}

TEST_CASE("a model's tokenizer: by name, beside it, or bytes") {
  temporary_folder folder;
  oracle::vocabulary const v({{" ", 0}});
  config c = config_of(v.pieces.size());
  std::string const model = (folder / "model.bin").string();
  expect_bad_file(model, {"without a tokenizer", "tokenizer.json", "260", "--tokenizer"}, [&] { load_tokenizer("", model, c); });
  c.bos = 256;
  CHECK(load_tokenizer("", model, c)->encode("a") == tokens{256, 'a'});
  folder.write("tokenizer.bin", v.file());
  c.bos = 1;
  CHECK(load_tokenizer("", model, c)->encode("a") == tokens{1, 259, 3 + 'a'});
  CHECK(load_tokenizer("", folder.path(), c)->vocab() == 260);
  CHECK(load_tokenizer((folder / "tokenizer.bin").string(), "elsewhere", c)->vocab() == 260);
  expect_bad_file("absent", {"no such file"}, [&] { load_tokenizer("absent", model, c); });
  expect_bad_file("tokenizer bytes", {"BOS 1"}, [&] { load_tokenizer("bytes", model, c); });
}

TEST_CASE("valid UTF-8 is what the table of well-formed sequences says") {
  CHECK(valid_utf8(""));
  std::size_t wrong = 0;
  for (std::uint32_t c = 1; c < 0x110000; ++c) wrong += valid_utf8(append_utf8("x", c)) == (c >= 0xd800 && c < 0xe000);
  CHECK(wrong == 0);
  CHECK_FALSE(valid_utf8(append_utf8("", 0x110000)));
  for (char const* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff", "\xc3", "\xe2\x82", "\xe2\x28\xac", "\xf0\x9f\x98"})
    CHECK(first_invalid_utf8(std::string("ab") + bad) == std::size_t{2});
}

}  // namespace
