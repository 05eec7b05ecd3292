#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include <reference_model/io/bad_file.hpp>

namespace reference_model {

static_assert(std::endian::native == std::endian::little, "the checkpoint formats are little-endian, read as they lie");

/// A file that is read by offset. Its size is known from the start, so that every length found inside it can be checked
/// before anything is allocated. Throws bad_file.
class file_source {
 public:
  explicit file_source(std::filesystem::path const& path) : name_(path.string()) {
    std::error_code error;
    std::filesystem::file_status const status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) throw bad_file(name_, "no such file; check the path");
    if (!std::filesystem::is_regular_file(status)) throw bad_file(name_, "not a regular file; give a file on disk");
    std::uintmax_t const size = std::filesystem::file_size(path, error);
    stream_ = std::make_unique<std::ifstream>(path, std::ios::binary);
    if (error || !*stream_) throw bad_file(name_, "cannot be opened for reading; check its permissions");
    size_ = size;
  }
  /// Bytes in memory under a name; for tests.
  file_source(std::string name, std::string bytes)
      : name_(std::move(name)), size_(bytes.size()), stream_(std::make_unique<std::istringstream>(std::move(bytes))) {}

  std::string const& name() const { return name_; }
  std::uint64_t size() const { return size_; }

  /// Reads bytes [offset, offset + count) into `out`.
  void read(std::uint64_t offset, void* out, std::uint64_t count) {
    if (offset > size_ || count > size_ - offset)
      throw bad_file(name_, "ends at byte " + std::to_string(size_) + "; bytes up to " +
                                std::to_string(offset + count) + " are needed; the file is truncated, fetch it again");
    stream_->clear();
    stream_->seekg(static_cast<std::streamoff>(offset));
    stream_->read(static_cast<char*>(out), static_cast<std::streamsize>(count));
    if (count != 0 && !*stream_)
      throw bad_file(name_, "reading " + std::to_string(count) + " bytes at byte " + std::to_string(offset) +
                                " failed; the file changed or the disk has an error");
  }

 private:
  std::string name_;
  std::uint64_t size_ = 0;
  std::unique_ptr<std::istream> stream_;
};

/// The whole text of a small file (configuration, index). Refuses more than `limit` bytes.
inline std::string read_text(std::filesystem::path const& path, std::uint64_t limit = std::uint64_t{16} << 20) {
  file_source file(path);
  if (file.size() > limit)
    throw bad_file(file.name(), "is " + std::to_string(file.size()) + " bytes; at most " + std::to_string(limit) +
                                    " are read as text; is it the right file?");
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read(0, text.data(), text.size());
  return text;
}

}  // namespace reference_model
