#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include <reference_model/io/bad_file.hpp>

namespace reference_model {

/// An output file that is there whole or not at all: bytes go to `<path>.partial` beside it, commit() renames it into
/// place. Without commit() nothing stays behind and an older file at `path` is untouched. Throws bad_file.
class whole_file {
 public:
  explicit whole_file(std::filesystem::path path) : path_(std::move(path)), partial_(path_) {
    partial_ += ".partial";
    if (std::filesystem::is_directory(path_)) throw bad_file(path_.string(), "is a directory; name a file in it");
    stream_.open(partial_, std::ios::binary | std::ios::trunc);
    if (!stream_) throw bad_file(path_.string(), "cannot be written; check that its folder exists and is writable");
    open_ = true;
  }
  ~whole_file() { discard(); }
  whole_file(whole_file const&) = delete;
  whole_file& operator=(whole_file const&) = delete;

  std::ostream& stream() { return stream_; }

  void write(void const* bytes, std::size_t count) {
    stream_.write(static_cast<char const*>(bytes), static_cast<std::streamsize>(count));
  }

  /// Puts the file in place. Throws, leaving nothing, if any write before failed (full disk).
  void commit() {
    stream_.close();
    if (!stream_) {
      discard();
      throw bad_file(path_.string(), "writing failed; is the disk full?");
    }
    std::error_code error;
    std::filesystem::rename(partial_, path_, error);
    if (error) {
      discard();
      throw bad_file(path_.string(), "cannot be put in place (" + error.message() + "); check the folder's permissions");
    }
    open_ = false;
  }

 private:
  void discard() {
    if (!open_) return;
    open_ = false;
    stream_.close();
    std::error_code ignored;
    std::filesystem::remove(partial_, ignored);
  }

  std::filesystem::path path_;
  std::filesystem::path partial_;
  std::ofstream stream_;
  bool open_ = false;
};

}  // namespace reference_model
