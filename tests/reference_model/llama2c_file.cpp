// Checkpoints of llama2.c: what is read, and what is refused.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <reference_model/io/llama2c.hpp>
#include <reference_model/io/load_model.hpp>

#include <support/seeds.hpp>

#include "expect_bad_file.hpp"
#include "same_model.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace {

using namespace reference_model;

enum field { dim, hidden, layers, heads, kv_heads, vocab, max_positions };

model load(std::string bytes) { return llama2c_reader(file_source("model.bin", std::move(bytes))).load(); }

std::string with(std::string bytes, field f, std::int32_t value) {
  std::memcpy(bytes.data() + 4 * f, &value, 4);
  return bytes;
}

model small_model(bool tied) {
  return tiny::make_model(tiny::make_config({2, 12, 2, 1, 6, 10, 11, tied, kvsift::pairing::interleaved}), 3);
}

TEST_CASE("llama2.c: what was written is read, tied and untied, from disk and from memory") {
  temporary_folder folder;
  for (bool tied : {false, true}) {
    model const m = small_model(tied);
    CHECK(difference(load(tiny::llama2c_bytes(m)), m) == "");
    CHECK(difference(load_model(folder.write("model.bin", tiny::llama2c_bytes(m))), m) == "");
  }
}

TEST_CASE("llama2.c: every truncation and every surplus is refused") {
  std::string const good = tiny::llama2c_bytes(small_model(true));
  for (std::size_t size = 0; size < good.size(); ++size) {
    std::string const line = complaint_of([&] { load(good.substr(0, size)); });
    INFO(size, " bytes: ", line);
    REQUIRE(line.find(size < 28 ? "at least 28" : "truncated") != std::string::npos);
    REQUIRE(line.find(std::to_string(size)) != std::string::npos);
  }
  expect_bad_file("model.bin", {"too long", std::to_string(good.size()).c_str()}, [&] { load(good + '\0'); });
}

TEST_CASE("llama2.c: header fields that cannot be, without taking the memory they ask for") {
  std::string const good = tiny::llama2c_bytes(small_model(true));
  std::int32_t const most = std::numeric_limits<std::int32_t>::max(), least = std::numeric_limits<std::int32_t>::min();
  auto const refused = [&](field f, std::int32_t value, std::initializer_list<char const*> words) {
    expect_bad_file("model.bin", words, [&] { load(with(good, f, value)); });
  };
  refused(dim, 0, {"dim is 0", "1 to 131072"});
  refused(dim, -12, {"dim is -12", "positive"});
  refused(dim, most, {"query heads is 2", "must divide dim, 2147483647"});
  refused(dim, most - 1, {"dim is 2147483646", "1 to 131072"});
  refused(dim, 13, {"query heads is 2", "must divide dim, 13"});
  refused(dim, 14, {"head_dim is 7", "even"});
  refused(hidden, 0, {"hidden is 0"});
  refused(hidden, 1 << 20, {"promises", "truncated"});
  refused(hidden, most, {"hidden is 2147483647", "1 to 1048576"});
  refused(layers, 0, {"layers is 0"});
  refused(layers, 4096, {"promises", "truncated"});
  refused(layers, most, {"layers is 2147483647", "1 to 4096"});
  refused(heads, 0, {"query heads is 0"});
  refused(heads, 5, {"query heads is 5", "must divide dim, 12"});
  refused(heads, least, {"query heads is -2147483648"});
  refused(kv_heads, 0, {"KV heads is 0"});
  refused(kv_heads, 3, {"KV heads is 3", "divide", "2"});
  refused(vocab, 0, {"vocab is 0"});
  refused(vocab, 1, {"BOS token is 1", "below vocab, 1"});
  refused(vocab, 1 << 24, {"promises", "truncated"});
  refused(vocab, least, {"vocab is 2147483648", "1 to 16777216"});
  refused(max_positions, 0, {"max_positions is 0"});
  refused(max_positions, 1 << 28, {"promises", "truncated"});
  refused(max_positions, most, {"max_positions is 2147483647"});

  std::string all = good;  // the largest numbers that each pass alone: no product may wrap around to the file's size
  for (auto const& [f, value] :
       {std::pair(dim, 1 << 17), std::pair(hidden, 1 << 20), std::pair(layers, 4096), std::pair(heads, 4096),
        std::pair(kv_heads, 4096), std::pair(vocab, -(1 << 24)), std::pair(max_positions, 1 << 28)})
    all = with(std::move(all), f, value);
  expect_bad_file("model.bin", {"promises", "truncated"}, [&] { load(all); });
  expect_bad_file("model.bin", {"version 2", "--version 0"},
                  [&] { load(with(with(good, dim, 0x616b3432), hidden, 2)); });
}

TEST_CASE("llama2.c: NaN and infinite weights are named by their byte") {
  model const m = small_model(false);
  std::string const good = tiny::llama2c_bytes(m);
  std::size_t const embedding = 28, unembedding = good.size() - 4;
  for (float bad : {NAN, -NAN, INFINITY, -INFINITY})
    for (std::size_t at : {embedding, embedding + 4 * 60, unembedding}) {
      std::string bytes = good;
      std::memcpy(bytes.data() + at, &bad, 4);
      expect_bad_file("model.bin",
                      {at == unembedding ? "unembedding" : "embedding", std::to_string(at).c_str(), "finite"},
                      [&] { load(bytes); });
    }
}

TEST_CASE("llama2.c: a damaged byte gives a model or one clear line, nothing else") {
  std::string const good = tiny::llama2c_bytes(small_model(true));
  support::for_each_seed(2000, [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string bytes = good;
    for (int i = 0; i < 3; ++i) bytes[random() % (i == 0 ? 28 : bytes.size())] = static_cast<char>(random());
    if (std::string const line = complaint_of([&] { load(bytes); }); !line.empty())
      CHECK(line.rfind("model.bin: ", 0) == 0);
  });
}

TEST_CASE("files that are none") {
  temporary_folder folder;
  std::string const absent = (folder / "absent.bin").string();
  expect_bad_file(absent, {"no such file", "path"}, [&] { load_model(absent); });
  expect_bad_file((folder / "absent.safetensors").string(), {"no such file"},
                  [&] { load_model(folder / "absent.safetensors"); });
  expect_bad_file("/dev/null", {"regular file"}, [&] { load_model("/dev/null"); });
  expect_bad_file(folder.write("empty.bin", "").string(), {"0 bytes", "28"}, [&] { load_model(folder / "empty.bin"); });
  expect_bad_file("", {"no such file"}, [&] { load_model(""); });
}

}  // namespace
