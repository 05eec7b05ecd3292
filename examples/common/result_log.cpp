#include <common/result_log.hpp>

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include <common/errors.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>

namespace programs {

namespace {

using ordered = nlohmann::ordered_json;

std::string canonical(std::string const& object) { return nlohmann::json::parse(object).dump(); }

}  // namespace

result_log::result_log(std::string path) : path_(std::move(path)) {
  if (path_.empty()) return;
  std::string text;
  {
    std::ifstream file(path_, std::ios::binary);
    std::ostringstream all;
    if (file) all << file.rdbuf();
    text = all.str();
  }
  std::size_t const whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  std::istringstream lines(text.substr(0, whole));
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    auto const row = ordered::parse(line, nullptr, false);
    if (!row.is_object() || !row.contains("run") || !row.contains("result"))
      throw reference_model::bad_file(
          path_, "line " + std::to_string(number) + " is no result of lab; move the file away, or give another --out");
    done_[canonical(row["run"].dump())] = row["result"].dump();
  }
  file_.reset(std::fopen(path_.c_str(), "ab"));
  if (!file_ || (whole < text.size() && ::truncate(path_.c_str(), static_cast<::off_t>(whole)) != 0))
    throw usage_error("--out: '" + path_ + "' cannot be written (" + std::strerror(errno) +
                      "); give a folder you may write to");
}

std::optional<std::string> result_log::find(std::string const& run) const {
  std::lock_guard const held(lock_);
  auto const at = done_.find(canonical(run));
  return at == done_.end() ? std::nullopt : std::optional(at->second);
}

void result_log::add(std::string const& run, std::string const& result) {
  std::lock_guard const held(lock_);
  done_[canonical(run)] = result;
  if (!file_) return;
  std::string const line = "{\"run\":" + run + ",\"result\":" + result + "}\n";
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() || std::fflush(file_.get()) != 0)
    throw usage_error("--out: '" + path_ + "' cannot be written (" + std::strerror(errno) +
                      "); results so far are in it");
}

double result_log::number(std::string const& result, std::string const& field) {
  return nlohmann::json::parse(result).at(field).get<double>();
}

}  // namespace programs
