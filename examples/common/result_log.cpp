#include <common/result_log.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <common/errors.hpp>
#include <common/fnv1a.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>

namespace programs {

namespace {

using ordered = nlohmann::ordered_json;

std::string canonical(std::string const& object) { return nlohmann::json::parse(object).dump(); }

// Bytes far behind the file's end stand for what is locked: a run each, and the writing of a line.
constexpr off_t runs_at = off_t{1} << 61, writing_at = off_t{1} << 60;
off_t place_of(std::string const& run) {
  fnv1a sum;
  sum.add(run);
  return runs_at + static_cast<off_t>(std::stoull(sum.hex(), nullptr, 16) % (std::uint64_t{1} << 60));
}

off_t size_of(int file) {
  struct stat found{};
  return ::fstat(file, &found) == 0 ? found.st_size : 0;
}

}  // namespace

result_log::result_log(std::string path) : path_(std::move(path)) {
  if (path_.empty()) {
    std::string name = std::string(P_tmpdir) + "/kvsift-lab.XXXXXX";
    file_ = ::mkstemp(name.data());
    if (file_ >= 0) ::unlink(name.c_str());
    path_ = name;
  } else {
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  }
  if (file_ < 0) fail("give a folder you may write to");
  read_on();
  lock(writing_at, F_WRLCK, true);
  drop_half_line();
  lock(writing_at, F_UNLCK, true);
}

result_log::~result_log() { ::close(file_); }

std::optional<std::string> result_log::find(std::string const& run) {
  read_on();
  auto const at = done_.find(canonical(run));
  return at == done_.end() ? std::nullopt : std::optional(at->second);
}

bool result_log::claim(std::string const& run, bool wait) {
  off_t const place = place_of(canonical(run));
  if (!lock(place, F_WRLCK, wait)) return false;
  if (!find(run)) return true;
  lock(place, F_UNLCK, wait);
  return false;
}

void result_log::add(std::string const& run, std::string const& result) {
  std::string const line = "{\"run\":" + run + ",\"result\":" + result + "}\n";
  lock(writing_at, F_WRLCK, true);
  drop_half_line();
  off_t at = size_of(file_);
  for (std::size_t written = 0; written < line.size();) {
    ssize_t const n = ::pwrite(file_, line.data() + written, line.size() - written, at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("results so far are in it");
    written += static_cast<std::size_t>(n);
    at += n;
  }
  lock(writing_at, F_UNLCK, true);
  lock(place_of(canonical(run)), F_UNLCK, true);
  read_on();
}

double result_log::number(std::string const& result, std::string const& field) {
  return nlohmann::json::parse(result).at(field).get<double>();
}

bool result_log::lock(off_t at, short kind, bool wait) const {
  struct flock what{};
  what.l_type = kind;
  what.l_whence = SEEK_SET;
  what.l_start = at;
  what.l_len = 1;
  for (;;) {
    if (::fcntl(file_, wait ? F_SETLKW : F_SETLK, &what) == 0) return true;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EACCES) return false;
    fail("give a folder whose file system locks files");
  }
}

void result_log::read_on() {
  std::string text(static_cast<std::size_t>(std::max<off_t>(0, size_of(file_) - read_)), '\0');
  std::size_t there = 0;
  while (there < text.size()) {
    ssize_t const n = ::pread(file_, text.data() + there, text.size() - there, read_ + static_cast<off_t>(there));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("give a file that can be read");
    if (n == 0) break;  // another process has dropped half a line
    there += static_cast<std::size_t>(n);
  }
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find('\n', begin)) < there; begin = end + 1) {
    ++lines_;
    auto const row = ordered::parse(text.substr(begin, end - begin), nullptr, false);
    if (!row.is_object() || !row.contains("run") || !row.contains("result"))
      throw reference_model::bad_file(path_, "line " + std::to_string(lines_) +
                                                 " is no result of lab; move the file away, or give another --out");
    done_[canonical(row["run"].dump())] = row["result"].dump();
  }
  read_ += static_cast<off_t>(begin);
}

void result_log::drop_half_line() const {
  off_t end = size_of(file_);
  char last = '\n';
  while (end > 0 && ::pread(file_, &last, 1, end - 1) == 1 && last != '\n') --end;
  if (end < size_of(file_) && ::ftruncate(file_, end) != 0) fail("give a folder you may write to");
}

void result_log::fail(std::string const& rest) const {
  throw usage_error("--out: '" + path_ + "' cannot be written (" + std::strerror(errno) + "); " + rest);
}

}  // namespace programs
