// Safetensors files: what is read and written, and what is refused.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <reference_model/io/safetensors.hpp>
#include <reference_model/io/write_safetensors.hpp>

#include <support/files.hpp>
#include <support/safetensors_lite.hpp>
#include <support/seeds.hpp>

#include "expect_bad_file.hpp"
#include "temporary_folder.hpp"

namespace {

using namespace reference_model;

safetensors_reader read(std::string bytes) { return safetensors_reader(file_source("w", std::move(bytes))); }

/// A file with this header, stating `length` as its length, and this many bytes of data.
std::string file_of(std::string const& header, std::size_t data, std::uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data, '\0');
}
std::string file_of(std::string const& header, std::size_t data) { return file_of(header, data, header.size()); }

/// A header of one tensor "a".
std::string one(std::string const& dtype, std::string const& shape, std::string const& range) {
  return "{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + range + "}}";
}

void refused(std::string const& bytes, std::initializer_list<char const*> words) {
  expect_bad_file("w", words, [&] { read(bytes); });
}

TEST_CASE("safetensors: what the plain writer of the tests wrote is read") {
  std::string const bytes =
      support::to_safetensors({{"b", {{2, 3}, {1, 2, 3, 4, 5, 6}}}, {"empty", {{0, 3}, {}}}, {"scalar", {{}, {7}}}});
  safetensors_reader reader = read(bytes);
  std::vector<float> six(6);
  reader.read("b", {2, 3}, six.data());
  CHECK(six == std::vector<float>{1, 2, 3, 4, 5, 6});
  float seven = 0;
  reader.read("scalar", {}, &seven);
  CHECK(seven == 7);
  CHECK(reader.tensors().at("empty").elements == 0);
  CHECK(read(file_of("{}", 0)).tensors().empty());
}

TEST_CASE("safetensors: what is written is read again, rounded to its type once") {
  temporary_folder folder;
  std::vector<float> const numbers{1, -2.5f, 0, -0.0f, 1e-3f, 65504, 3.14159f, 6e-8f};
  std::vector<float> const nothing;
  std::map<std::string, std::string> const metadata{{"made by", "a \"test\"\n"}};
  write_safetensors(folder / "w.safetensors",
                    {{"wide", {2, 4}, numbers.data(), element_type::f32},
                     {"none", {0}, nothing.data(), element_type::f16},
                     {"half", {8}, numbers.data(), element_type::f16},
                     {"brain", {8, 1}, numbers.data(), element_type::bf16}},
                    metadata);
  safetensors_reader reader(folder / "w.safetensors");
  CHECK(reader.metadata() == metadata);
  std::vector<float> back(8);
  reader.read("wide", {2, 4}, back.data());
  CHECK(std::memcmp(back.data(), numbers.data(), 32) == 0);
  reader.read("half", {8}, back.data());
  for (std::size_t i = 0; i < 8; ++i)
    CHECK(std::abs(back[i] - numbers[i]) <= std::abs(numbers[i]) * 0x1p-11f + 0x1p-25f);
  reader.read("brain", {8, 1}, back.data());
  for (std::size_t i = 0; i < 8; ++i) CHECK(std::abs(back[i] - numbers[i]) <= std::abs(numbers[i]) * 0x1p-8f);
  write_safetensors(folder / "again.safetensors", {{"half", {8}, back.data(), element_type::bf16}});
  safetensors_reader again(folder / "again.safetensors");
  std::vector<float> twice(8);
  again.read("half", {8}, twice.data());
  CHECK(twice == back);

  std::string const there = (folder / "again.safetensors").string(), before = support::read_file(there);
  expect_bad_file(there, {"'a'", "unique"}, [&] {
    write_safetensors(there, {{"a", {8}, back.data(), element_type::f32}, {"a", {8}, back.data(), element_type::f32}});
  });
  expect_bad_file(there, {"UTF-8"}, [&] { write_safetensors(there, {{"\xff", {8}, back.data(), element_type::f32}}); });
  CHECK(support::read_file(there) == before);
  CHECK_FALSE(std::filesystem::exists(there + ".partial"));
  std::string const nowhere = (folder / "no folder/w").string();
  expect_bad_file(nowhere, {"cannot be written"}, [&] { write_safetensors(nowhere, {}); });
}

TEST_CASE("safetensors: every truncation and every surplus is refused") {
  std::string const good = support::to_safetensors({{"a", {{3}, {1, 2, 3}}}, {"b", {{2, 2}, {1, 2, 3, 4}}}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    INFO("the first ", size, " bytes");
    REQUIRE(complaint_of([&] { read(good.substr(0, size)); }).rfind("w: ", 0) == 0);
  }
  refused(good + '\0', {"1 bytes after the last tensor"});
  refused(file_of("{}", 5), {"5 bytes after the last tensor"});
}

TEST_CASE("safetensors: the header's length and text") {
  refused("", {"0 bytes", "at least 8"});
  refused(file_of("{}", 0, 3), {"header length is 3", "at most 2", "truncated"});
  refused(file_of("{}", 0, ~std::uint64_t{0}), {"header length is 18446744073709551615", "at most 2"});
  refused(file_of("{}", (std::size_t{1} << 24) + 8, (1u << 24) + 1), {"header length is 16777217", "at most 16777216"});
  refused(file_of("", 0), {"JSON", "byte"});
  refused(file_of("{\"a\":", 0), {"JSON at byte 6"});
  refused(file_of("[]", 0), {"not an object"});
  refused(file_of("{\"a\":1}x", 0), {"JSON"});
  refused(file_of("{\"\xff\":1}", 0), {"JSON"});
  refused(file_of("{\"a\":1e999}", 0), {"number is out of range"});
  refused(file_of("{\"a\":{}," + one("\"F32\"", "[1]", "[0,4]").substr(1), 4), {"'a'", "twice", "keep one"});
  refused(file_of("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4),
          {"'dtype'", "twice"});
  refused(file_of("{\"a\":" + std::string(1000000, '[') + std::string(1000000, ']') + "}", 0), {"deeper than 32"});
  refused(file_of("{\"a\":" + std::string(1000000, '['), 0), {"deeper than 32"});
  refused(file_of("{\"__metadata__\":{\"n\":1}}", 0), {"__metadata__", "'n' is 1", "string"});
  refused(file_of("{\"__metadata__\":\"x\"}", 0), {"__metadata__ is \"x\"", "object"});
}

TEST_CASE("safetensors: what a tensor says of itself") {
  refused(file_of("{\"a\":7}", 0), {"'a'", "7", "object"});
  refused(file_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4), {"'a'", "no field 'data_offsets'"});
  refused(file_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":0}}", 4), {"'a'", "'more'"});
  for (char const* dtype : {"\"F16x\"", "\"f32\"", "null", "[]"})
    refused(file_of(one(dtype, "[1]", "[0,4]"), 4), {"'a'", dtype});
  for (char const* shape : {"1", "[1.0]", "[-1]", "[true]", "[[1]]", "[1,1,1,1,1,1,1,1,1]", "[18446744073709551616]"})
    refused(file_of(one("\"F32\"", shape, "[0,4]"), 4), {"'a'", "shape"});
  for (char const* shape :
       {"[281474976710657]", "[65536,65536,65537]", "[4294967296,4294967296]", "[18446744073709551615,2]"})
    refused(file_of(one("\"F32\"", shape, "[0,4]"), 4), {"'a'", shape, "2^48"});
  for (char const* range : {"[]", "[0]", "[0,4,8]", "[-4,0]", "[0,4.0]", "4", "{}"})
    refused(file_of(one("\"F32\"", "[1]", range), 4), {"'a'", range, "[begin, end]"});
  for (char const* range : {"[4,0]", "[0,8]", "[4,8]", "[0,18446744073709551615]", "[18446744073709551612,0]"})
    refused(file_of(one("\"F32\"", "[1]", range), 4), {"'a'", range, "holds 4 bytes"});
  refused(file_of(one("\"F32\"", "[2]", "[0,4]"), 4), {"'a'", "4 bytes", "[2] of F32 needs 8"});
  refused(file_of(one("\"F16\"", "[1]", "[0,4]"), 4), {"'a'", "4 bytes", "F16 needs 2"});
}

TEST_CASE("safetensors: tensors overlap, or leave holes") {
  auto const two = [](std::string const& first, std::string const& second) {
    return "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" + first +
           "},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" + second + "}}";
  };
  CHECK(read(file_of(two("[4,8]", "[0,4]"), 8)).tensors().size() == 2);
  refused(file_of(two("[0,4]", "[2,6]"), 6), {"'b' begins at data byte 2", "ends at 4", "overlap"});
  refused(file_of(two("[0,4]", "[0,4]"), 4), {"overlap"});
  refused(file_of(two("[0,4]", "[5,9]"), 9), {"'b' begins at data byte 5", "bytes from 4", "no tensor"});
  refused(file_of(two("[1,5]", "[5,9]"), 9), {"'a' begins at data byte 1", "bytes from 0"});
}

TEST_CASE("safetensors: asked for what is not there") {
  float const numbers[2] = {1, NAN};
  float const infinite[2] = {INFINITY, 1};
  temporary_folder folder;
  std::string const name = (folder / "w.safetensors").string();
  for (element_type stored : {element_type::f32, element_type::f16, element_type::bf16}) {
    write_safetensors(name, {{"nan", {2}, numbers, stored}, {"inf", {2}, infinite, stored}});
    safetensors_reader reader{std::filesystem::path(name)};
    float out[2];
    expect_bad_file(name, {"'nan' element 1", "finite"}, [&] { reader.read("nan", {2}, out); });
    expect_bad_file(name, {"'inf' element 0", "finite"}, [&] { reader.read("inf", {2}, out); });
    reader.read("nan", {2}, out, safetensors_reader::numbers::any);
    CHECK(std::isnan(out[1]));
    expect_bad_file(name, {"'other' is missing"}, [&] { reader.read("other", {2}, out); });
    expect_bad_file(name, {"'nan' has shape [2]", "[2, 1]"}, [&] { reader.read("nan", {2, 1}, out); });
  }
  std::string const wide = file_of(one("\"F64\"", "[1]", "[0,8]"), 8);
  expect_bad_file("w", {"'a' has dtype F64", "F32, F16 and BF16", "convert"}, [&] {
    float out = 0;
    read(wide).read("a", {1}, &out);
  });
}

TEST_CASE("safetensors: damaged bytes give a file or one clear line, nothing else") {
  std::string const good = support::to_safetensors({{"a", {{3}, {1, 2, 3}}}, {"b", {{2, 2}, {1, 2, 3, 4}}}});
  std::string const letters = "{}[]\",:0123456789-.eE ab\\";
  support::for_each_seed(3000, [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string bytes = good;
    for (std::uint64_t i = random() % 4 + 1; i > 0; --i)
      bytes[random() % bytes.size()] = random() % 2 ? letters[random() % letters.size()] : static_cast<char>(random());
    if (std::string const line = complaint_of([&] { read(bytes); }); !line.empty()) CHECK(line.rfind("w: ", 0) == 0);
  });
}

}  // namespace
