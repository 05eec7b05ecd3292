#include <common/sample_file.hpp>

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include <common/errors.hpp>
#include <common/fnv1a.hpp>
#include <common/json_output.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>

namespace programs {

namespace {

using nlohmann::json;
using reference_model::bad_file;

constexpr std::string_view head = "{\"shapley_samples\":1,\"game\":";

std::string check_of(std::string const& game, sample_key const& key, sample_value const& value) {
  fnv1a sum;
  sum.add(game);
  for (std::uint64_t const word :
       {std::uint64_t{key.slice}, key.seed, key.draw, std::bit_cast<std::uint64_t>(value.inside),
        std::bit_cast<std::uint64_t>(value.outside)})
    sum.add_word(word);
  return sum.hex();
}

std::string header_line(std::string const& game) { return std::string(head) + game + "}\n"; }

std::string line_of(std::string const& game, sample_key const& key, sample_value const& value) {
  return json_line({{"slice", key.slice},
                    {"seed", key.seed},
                    {"draw", key.draw},
                    {"inside", value.inside},
                    {"outside", value.outside},
                    {"check", check_of(game, key, value)}});
}

std::string bytes_of(std::string const& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad() || !in.is_open()) throw bad_file(path, "cannot be read; check that it is a readable file");
  return text;
}

// What stands in whole lines.
std::size_t whole_bytes(std::string const& text) {
  std::size_t const end = text.rfind('\n');
  return end == std::string::npos ? 0 : end + 1;
}

void read_file(std::string const& path, std::string const& text, std::string& game, sample_set& samples) {
  std::size_t number = 0;
  for (std::size_t begin = 0, end = 0, whole = whole_bytes(text); begin < whole; begin = end + 1) {
    end = text.find('\n', begin);
    std::string const line = text.substr(begin, end - begin);
    std::string const where = "line " + std::to_string(++number);
    if (number == 1) {
      if (line.rfind(head, 0) != 0 || line.back() != '}' || !json::accept(line))
        throw bad_file(path, "line 1 does not say of which game its samples are; move the file away");
      std::string const own = line.substr(head.size(), line.size() - head.size() - 1);
      if (game.empty()) game = own;
      if (own != game)
        throw bad_file(path, "holds samples of " + own + "; the game is " + game + ", give another --out");
      continue;
    }
    json const row = json::parse(line, nullptr, false);
    auto const is_number = [&](char const* field) { return row.contains(field) && row[field].is_number(); };
    auto const is_count = [&](char const* field) { return row.contains(field) && row[field].is_number_unsigned(); };
    if (!row.is_object() || !is_count("slice") || !is_count("seed") || !is_count("draw") || !is_number("inside") ||
        !is_number("outside"))
      throw bad_file(path, where + " is no sample; the file is damaged, move it away");
    sample_key const key{row["slice"].get<std::uint32_t>(), row["seed"].get<std::uint64_t>(),
                         row["draw"].get<std::uint64_t>()};
    sample_value const value{row["inside"].get<double>(), row["outside"].get<double>()};
    if (line + "\n" != line_of(game, key, value))
      throw bad_file(path, where + " does not match its checksum; the file is damaged, move it away");
    try {
      samples.add(key, value);
    } catch (kvsift::bad_argument const& wrong) {
      throw bad_file(path, where + ": " + wrong.what());
    }
  }
}

}  // namespace

stored_samples read_samples(std::vector<std::string> const& folders, std::string const& game) {
  stored_samples all{game, {}, 0};
  for (std::string const& folder : folders) {
    std::vector<std::string> paths;
    std::error_code problem;
    for (auto at = std::filesystem::directory_iterator(folder, problem);
         !problem && at != std::filesystem::directory_iterator(); at.increment(problem)) {
      std::string const name = at->path().filename().string();
      if (name.rfind("samples", 0) == 0 && at->path().extension() == ".jsonl") paths.push_back(at->path().string());
    }
    if (problem)
      throw usage_error("'" + folder + "' cannot be read (" + problem.message() +
                        "); give a folder with files samples*.jsonl");
    std::sort(paths.begin(), paths.end());
    for (std::string const& path : paths) {
      read_file(path, bytes_of(path), all.game, all.samples);
      ++all.files;
    }
  }
  return all;
}

std::string samples_text(std::string const& game, sample_set const& samples) {
  std::string text = header_line(game);
  for (auto const& [key, value] : samples) text += line_of(game, key, value);
  return text;
}

sample_file::sample_file(std::string const& folder, std::string const& name, std::string game)
    : path_(folder + "/" + name), game_(std::move(game)), file_(std::fopen(path_.c_str(), "ab")) {
  if (!file_)
    throw usage_error("--out: '" + path_ + "' cannot be written (" + std::strerror(errno) +
                      "); give a folder you may write to");
  if (::flock(::fileno(file_.get()), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw usage_error("--out: '" + path_ +
                      "' is being written by another process; give each process a --part or a --seed of its own");
  std::string const there = bytes_of(path_);
  if (std::size_t const whole = whole_bytes(there);
      whole != there.size() && ::ftruncate(::fileno(file_.get()), static_cast<::off_t>(whole)) != 0)
    throw usage_error("--out: '" + path_ + "' cannot be written (" + std::strerror(errno) +
                      "); give a folder you may write to");
  if (whole_bytes(there) == 0) write(header_line(game_));
}

void sample_file::add(sample_key const& key, sample_value const& value) {
  if (!std::isfinite(value.inside) || !std::isfinite(value.outside))
    throw kvsift::bad_argument("the task's value is not finite; give a task that has one for every coalition");
  write(line_of(game_, key, value));
}

void sample_file::write(std::string const& line) {
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() || std::fflush(file_.get()) != 0)
    throw usage_error("--out: '" + path_ + "' cannot be written (" + std::strerror(errno) +
                      "); samples so far are in it");
}

}  // namespace programs
