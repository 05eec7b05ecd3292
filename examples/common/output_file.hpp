#pragma once
// Files a program writes: refused before any work when they cannot be written, complete or absent afterwards.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <common/errors.hpp>

namespace programs {

// The constructor proves that the file can be written and leaves nothing behind; `commit` writes a temporary file beside it
// and renames that, so an interrupted program leaves the old file or none. What exists and is no regular file (a pipe,
// /dev/null) is written directly. Errors: usage_error naming option and path.
class output_file {
 public:
  output_file(std::string option, std::string path) : option_(std::move(option)), path_(std::move(path)) {
    if (path_.empty()) throw usage_error(option_ + " is empty; give a file name");
    struct stat found{};
    bool const exists = ::stat(path_.c_str(), &found) == 0;
    if (exists && S_ISDIR(found.st_mode)) throw usage_error(option_ + " '" + path_ + "' is a folder; give a file name");
    if (exists && ::access(path_.c_str(), W_OK) != 0) fail(errno);
    direct_ = exists && !S_ISREG(found.st_mode);
    if (direct_) return;
    mode_t const mask = ::umask(0);
    ::umask(mask);
    mode_ = exists ? found.st_mode & 07777 : 0666 & ~mask;
    if (exists) path_ = std::filesystem::canonical(path_).string();  // a link goes on pointing where it pointed
    std::string name;
    std::fclose(temporary(name));
    std::remove(name.c_str());
  }

  void write(std::string_view bytes) { content_ += bytes; }

  void commit() {
    std::string name = path_;
    std::FILE* const stream = direct_ ? std::fopen(path_.c_str(), "wb") : temporary(name);
    if (stream == nullptr) fail(errno);
    bool good = std::fwrite(content_.data(), 1, content_.size(), stream) == content_.size();
    int reason = errno;
    if (std::fclose(stream) != 0 && good) good = false, reason = errno;
    if (good && !direct_ && std::rename(name.c_str(), path_.c_str()) != 0) good = false, reason = errno;
    if (good) return;
    if (!direct_) std::remove(name.c_str());
    fail(reason);
  }
  std::string const& path() const { return path_; }

 private:
  std::FILE* temporary(std::string& name) const {
    name = path_ + ".XXXXXX";
    int const descriptor = ::mkstemp(name.data());
    if (descriptor < 0) fail(errno);
    ::fchmod(descriptor, mode_);
    std::FILE* const stream = ::fdopen(descriptor, "wb");
    if (stream == nullptr) fail(errno);
    return stream;
  }
  [[noreturn]] void fail(int reason) const {
    throw usage_error(option_ + " '" + path_ + "' cannot be written (" + std::strerror(reason) +
                      "); give a path in a folder you may write to");
  }

  std::string option_, path_, content_;
  mode_t mode_ = 0644;
  bool direct_ = false;
};

// The folder of --out, made when it is missing.
inline void make_output_folder(std::string const& path) {
  std::error_code problem;
  std::filesystem::create_directories(path, problem);
  if (problem || !std::filesystem::is_directory(path)) {
    throw usage_error("--out '" + path + "' cannot be made a folder (" +
                      (problem ? problem.message() : std::string("a file has that name")) +
                      "); give a folder you may write to");
  }
}

// The files that the folder of --out gets, each proven before any work; none without --out.
class result_files {
 public:
  result_files(std::string const& folder, std::initializer_list<char const*> names) {
    if (folder.empty()) return;
    make_output_folder(folder);
    for (char const* const name : names) files_.emplace_back("--out", folder + "/" + name);
  }
  explicit operator bool() const { return !files_.empty(); }
  // In the order of the names; all are written, then all take their places.
  void commit(std::initializer_list<std::string> contents) {
    auto content = contents.begin();
    for (output_file& file : files_) file.write(*content++);
    for (output_file& file : files_) file.commit();
  }

 private:
  std::vector<output_file> files_;
};

// Standard output: every write is flushed at once, so that a reader at the other end of a pipe sees each token.
inline void print_now(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw usage_error(std::string("standard output cannot be written (") + std::strerror(errno) + ")");
  }
}

}  // namespace programs
