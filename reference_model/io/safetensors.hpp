#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/element_type.hpp>
#include <reference_model/io/file_source.hpp>
#include <reference_model/io/json_text.hpp>

namespace reference_model {

/// One tensor of a safetensors file.
struct tensor_entry {
  element_format const* format = nullptr;
  std::vector<std::uint64_t> shape;
  std::uint64_t elements = 1;
  std::uint64_t begin = 0;  ///< byte in the file
  std::uint64_t end = 0;
};

inline std::string shown(std::vector<std::uint64_t> const& shape) {
  std::string text = "[";
  for (std::uint64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + "]";
}

/// Reads a safetensors file: eight bytes of header length, a JSON header, then the tensors' bytes without gaps.
/// The constructor checks all of it: length, JSON, names, types, shape x size, ranges, overlaps, gaps, trailing bytes.
/// Throws bad_file.
class safetensors_reader {
 public:
  explicit safetensors_reader(std::filesystem::path const& path) : safetensors_reader(file_source(path)) {}

  explicit safetensors_reader(file_source file) : file_(std::move(file)) {
    if (file_.size() < 8) fail("is " + std::to_string(file_.size()) + " bytes; a safetensors file has at least 8");
    std::uint64_t length = 0;
    file_.read(0, &length, 8);
    if (length > file_.size() - 8 || length > header_limit)
      fail("header length is " + std::to_string(length) + "; at most " +
           std::to_string(std::min(file_.size() - 8, header_limit)) +
           " is possible; the file is truncated or no safetensors file");
    std::string text(static_cast<std::size_t>(length), '\0');
    file_.read(8, text.data(), length);
    json const header = parse_object(file_.name(), text);
    for (auto const& [name, value] : header.items()) {
      if (name == "__metadata__") {
        read_metadata(value);
      } else {
        tensors_.emplace(name, entry(name, value, 8 + length));
      }
    }
    check_ranges(8 + length);
  }

  std::string const& name() const { return file_.name(); }
  std::map<std::string, tensor_entry> const& tensors() const { return tensors_; }
  std::map<std::string, std::string> const& metadata() const { return metadata_; }

  /// Throws unless the tensor exists, has this shape and a type that widens to float.
  tensor_entry const& expect(std::string const& tensor, std::vector<std::uint64_t> const& shape) const {
    auto const found = tensors_.find(tensor);
    if (found == tensors_.end()) fail("tensor '" + tensor + "' is missing; export the model again");
    tensor_entry const& e = found->second;
    if (e.shape != shape)
      fail("tensor '" + tensor + "' has shape " + shown(e.shape) + "; the configuration asks for " + shown(shape) +
           "; the two files do not belong together");
    if (e.format->type == element_type::other)
      fail("tensor '" + tensor + "' has dtype " + std::string(e.format->name) + "; F32, F16 and BF16 are read; convert it");
    return e;
  }

  /// Reads the bytes of a tensor that is stored in this format. Throws unless it exists and is.
  std::vector<std::byte> read_bytes(std::string const& tensor, std::string_view format, std::vector<std::uint64_t>& shape) {
    auto const found = tensors_.find(tensor);
    if (found == tensors_.end()) fail("tensor '" + tensor + "' is missing; write the file again");
    tensor_entry const& e = found->second;
    if (e.format->name != format)
      fail("tensor '" + tensor + "' has dtype " + std::string(e.format->name) + "; " + std::string(format) + " is expected; write the file again");
    shape = e.shape;
    std::vector<std::byte> bytes(static_cast<std::size_t>(e.end - e.begin));
    file_.read(e.begin, bytes.data(), bytes.size());
    return bytes;
  }

  enum class numbers { any, finite };

  /// Reads a tensor of this shape as floats, out [product of shape]. With numbers::finite a NaN or infinity is refused.
  void read(std::string const& tensor, std::vector<std::uint64_t> const& shape, float* out,
            numbers allowed = numbers::finite) {
    tensor_entry const& e = expect(tensor, shape);
    read_floats(file_, e.begin, e.format->type, e.elements, out);
    if (allowed == numbers::any) return;
    if (auto const at = first_not_finite(out, e.elements))
      fail("tensor '" + tensor + "' element " + std::to_string(*at) +
           " is NaN or infinite; weights must be finite; the training failed or the file is damaged");
  }

 private:
  static constexpr std::uint64_t header_limit = std::uint64_t{16} << 20;  // some 100,000 tensors

  [[noreturn]] void fail(std::string const& problem) const { throw bad_file(file_.name(), problem); }

  void read_metadata(json const& value) {
    if (!value.is_object()) fail("__metadata__ is " + shown(value) + "; an object of strings is expected");
    for (auto const& [key, text] : value.items()) {
      if (!text.is_string()) fail("__metadata__ field '" + key + "' is " + shown(text) + "; a string is expected");
      metadata_.emplace(key, text.get<std::string>());
    }
  }

  tensor_entry entry(std::string const& tensor, json const& value, std::uint64_t data) const {
    std::string const which = "tensor '" + tensor + "' ";
    if (!value.is_object()) fail(which + "is described by " + shown(value) + "; an object is expected");
    for (auto const& [field, unused] : value.items())
      if (field != "dtype" && field != "shape" && field != "data_offsets")
        fail(which + "has a field '" + field + "'; dtype, shape and data_offsets are known");
    for (char const* field : {"dtype", "shape", "data_offsets"})
      if (!value.contains(field)) fail(which + "has no field '" + field + "'; write the file again");
    tensor_entry e;
    json const& dtype = value["dtype"];
    e.format = dtype.is_string() ? find_format(dtype.get_ref<std::string const&>()) : nullptr;
    if (e.format == nullptr) fail(which + "has dtype " + shown(dtype) + "; F32, F16 and BF16 are read; convert it");
    json const& shape = value["shape"];
    if (!shape.is_array() || shape.size() > 8) fail(which + "has shape " + shown(shape) + "; a list of up to 8 sizes is expected");
    for (json const& n : shape) {
      if (!n.is_number_unsigned()) fail(which + "has shape " + shown(shape) + "; sizes are whole numbers from 0");
      e.shape.push_back(n.get<std::uint64_t>());
      if (e.shape.back() != 0 && e.elements > (std::uint64_t{1} << 48) / e.shape.back())
        fail(which + "has shape " + shown(shape) + "; its product is beyond 2^48; the header is damaged");
      e.elements *= e.shape.back();
    }
    json const& range = value["data_offsets"];
    if (!range.is_array() || range.size() != 2 || !range[0].is_number_unsigned() || !range[1].is_number_unsigned())
      fail(which + "has data_offsets " + shown(range) + "; two whole numbers [begin, end] are expected");
    std::uint64_t const begin = range[0].get<std::uint64_t>(), end = range[1].get<std::uint64_t>();
    if (begin > end || end > file_.size() - data)
      fail(which + "has data_offsets " + shown(range) + "; the file holds " + std::to_string(file_.size() - data) +
           " bytes of data; the file is truncated or damaged");
    if (end - begin != e.elements * e.format->bytes)
      fail(which + "has " + std::to_string(end - begin) + " bytes; shape " + shown(shape) + " of " +
           std::string(e.format->name) + " needs " + std::to_string(e.elements * e.format->bytes) + "; write it again");
    e.begin = data + begin;
    e.end = data + end;
    return e;
  }

  // Tensors must tile the data: sorted by offset, each begins where the one before ends, the last ends with the file.
  void check_ranges(std::uint64_t data) const {
    std::vector<std::pair<std::string const*, tensor_entry const*>> order;
    for (auto const& [tensor, e] : tensors_) order.emplace_back(&tensor, &e);
    std::sort(order.begin(), order.end(), [](auto const& a, auto const& b) {
      return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
    });
    std::uint64_t at = data;
    for (auto const& [tensor, e] : order) {
      if (e->begin < at)
        fail("tensor '" + *tensor + "' begins at data byte " + std::to_string(e->begin - data) +
             "; the tensor before it ends at " + std::to_string(at - data) + ": they overlap; write the file again");
      if (e->begin > at)
        fail("tensor '" + *tensor + "' begins at data byte " + std::to_string(e->begin - data) + "; bytes from " +
             std::to_string(at - data) + " on belong to no tensor; write the file again");
      at = e->end;
    }
    if (at != file_.size())
      fail("holds " + std::to_string(file_.size() - at) + " bytes after the last tensor; none are expected; fetch it again");
  }

  file_source file_;
  std::map<std::string, tensor_entry> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace reference_model
