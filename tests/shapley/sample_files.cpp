// Partial results in files: what was written is read, an interruption costs the sample it hit, and damage is refused by
// name.

#include <cstdint>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include <common/errors.hpp>
#include <common/sample_file.hpp>
#include <programs/process.hpp>
#include <reference_model/expect_bad_file.hpp>
#include <support/files.hpp>

#include "game_samples.hpp"

namespace {

using namespace programs;

std::string const game = R"({"layers":2,"kv_heads":3})";

sample_set some(std::uint64_t seed, std::uint64_t from, std::uint64_t to) {
  exact::game const g = exact::random_game(6, 1);
  sample_set all;
  for (std::uint64_t draw = from; draw < to; ++draw)
    draw_into(all, g, static_cast<std::uint32_t>(1 + draw % 3), seed, draw);
  return all;
}

void write(std::string const& path, std::string const& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

TEST_CASE("samples are read as they were written, from many files, each counted once") {
  temporary_folder const folder;
  {
    sample_file one(folder.string(), "samples-1.jsonl", game), two(folder.string(), "samples-2.jsonl", game);
    for (auto const& [key, value] : some(1, 0, 20)) one.add(key, value);
    for (auto const& [key, value] : some(1, 10, 30)) two.add(key, value);
  }
  write((folder / "other.jsonl").string(), "what is not ours\n");
  stored_samples const all = read_samples({folder.string()}, "");
  CHECK(all.samples == some(1, 0, 30));
  CHECK(all.game == game);
  CHECK(all.files == 2);
  CHECK(read_samples({folder.string(), folder.string()}, game).samples == all.samples);
  CHECK(samples_text(game, all.samples) == samples_text(game, some(1, 0, 30)));
}

TEST_CASE("killed at any byte, a file is read up to its last whole sample and written on from there") {
  temporary_folder const folder;
  std::string const path = (folder / "samples.jsonl").string(), whole = samples_text(game, some(1, 0, 6));
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    write(path, whole.substr(0, n));
    sample_set const before = read_samples({folder.string()}, game).samples;
    std::size_t lines = 0;
    for (char const c : whole.substr(0, n)) lines += c == '\n' ? 1u : 0u;
    REQUIRE(before.size() == (lines == 0 ? 0 : lines - 1));
    {
      sample_file again(folder.string(), "samples.jsonl", game);
      for (auto const& [key, value] : some(1, 0, 6))
        if (!before.has(key)) again.add(key, value);
    }
    REQUIRE(support::read_file(path) == whole);
  }
}

TEST_CASE("a file with any byte changed is refused, and named") {
  temporary_folder const folder;
  std::string const path = (folder / "samples.jsonl").string(), whole = samples_text(game, some(1, 0, 4));
  for (std::size_t n = 0; n + 1 < whole.size(); ++n) {  // the last line end makes a sample of an interruption
    std::string damaged = whole;
    damaged[n] = static_cast<char>(damaged[n] ^ 1);
    write(path, damaged);
    INFO("byte " << n);
    expect_bad_file(path, {"; "}, [&] { read_samples({folder.string()}, game); });
  }
  write(path, whole);
  expect_bad_file(path, {"holds samples of {\"layers\":2,\"kv_heads\":3}", "the game is {\"layers\":9}"},
                  [&] { read_samples({folder.string()}, "{\"layers\":9}"); });
  sample_set other;
  other.add({1, 1, 0}, {0.125, 0.5});
  std::string const second = (folder / "samples2.jsonl").string();
  write(second, samples_text(game, other));
  expect_bad_file(second, {"line 2: sample 0 of slice 1 and seed 1", "do not mix results of different games"},
                  [&] { read_samples({folder.string()}, ""); });
  CHECK_THROWS_AS(read_samples({(folder / "absent").string()}, ""), usage_error);
}

TEST_CASE("one process a file: a second that would write it is refused") {
  temporary_folder const folder;
  sample_file const one(folder.string(), "samples.jsonl", game);
  CHECK_THROWS_WITH_AS(sample_file(folder.string(), "samples.jsonl", game),
                       ("--out: '" + (folder / "samples.jsonl").string() +
                        "' is being written by another process; give each process a --part or a --seed of its own")
                           .c_str(),
                       usage_error);
  CHECK(read_samples({folder.string()}, game).samples.size() == 0);
}

}  // namespace
