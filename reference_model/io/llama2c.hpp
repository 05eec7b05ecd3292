#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/element_type.hpp>
#include <reference_model/io/file_source.hpp>
#include <reference_model/model/config.hpp>
#include <reference_model/model/weights.hpp>

namespace reference_model {

/// Reads a checkpoint of llama2.c: seven int32 (dim, hidden, layers, query heads, KV heads, vocabulary, positions), then
/// fp32 weights, each kind for all layers together. A negative vocabulary says that the unembedding has its own matrix.
/// The file must have exactly the bytes its header promises. Throws bad_file.
class llama2c_reader {
 public:
  explicit llama2c_reader(file_source file) : file_(std::move(file)) { read_header(); }

  reference_model::config const& config() const { return config_; }

  model load() {
    reference_model::config const& c = config_;
    std::uint64_t const dim = c.dim, hidden = c.hidden, queries = std::uint64_t{c.heads} * c.head_dim,
                        keys = std::uint64_t{c.kv_heads} * c.head_dim;
    model m;
    m.config = c;
    m.layers.resize(c.layers);
    at_ = header_bytes;
    m.embedding = take("embedding", c.vocab * dim);
    for (auto& l : m.layers) l.attention_norm = take("attention norm", dim);
    for (auto& l : m.layers) l.query = take("query", queries * dim);
    for (auto& l : m.layers) l.key = take("key", keys * dim);
    for (auto& l : m.layers) l.value = take("value", keys * dim);
    for (auto& l : m.layers) l.output = take("output", dim * queries);
    for (auto& l : m.layers) l.feed_norm = take("feed-forward norm", dim);
    for (auto& l : m.layers) l.gate = take("gate", hidden * dim);
    for (auto& l : m.layers) l.down = take("down", dim * hidden);
    for (auto& l : m.layers) l.up = take("up", hidden * dim);
    m.final_norm = take("final norm", dim);
    at_ += rotation_bytes();  // tables of sines and cosines that nobody reads any more
    if (!c.tied) m.unembedding = take("unembedding", c.vocab * dim);
    return m;
  }

 private:
  static constexpr std::uint64_t header_bytes = 28;

  std::uint64_t rotation_bytes() const { return std::uint64_t{config_.max_positions} * config_.head_dim * 4; }

  void read_header() {
    if (file_.size() < header_bytes)
      throw bad_file(file_.name(), "is " + std::to_string(file_.size()) + " bytes; a llama2.c checkpoint has at least 28");
    std::array<std::int32_t, 7> h{};
    file_.read(0, h.data(), header_bytes);
    if (h[0] == 0x616b3432)
      throw bad_file(file_.name(), "is a llama2.c export of version " + std::to_string(h[1]) +
                                       "; version 0 (the one run.c reads) is supported; export again with --version 0");
    constexpr std::array<char const*, 7> fields{"dim",      "hidden", "layers",       "query heads",
                                                "KV heads", "vocab",  "max_positions"};
    for (std::size_t i = 0; i < 7; ++i)
      if (h[i] < 0 && i != 5)
        throw bad_file(file_.name(), std::string(fields[i]) + " is " + std::to_string(h[i]) +
                                         "; a positive number is expected; the file is no llama2.c checkpoint");
    auto const u = [&](std::size_t i) { return static_cast<std::uint32_t>(h[i]); };
    config_.dim = u(0);
    config_.hidden = u(1);
    config_.layers = u(2);
    config_.heads = u(3);
    config_.kv_heads = u(4);
    config_.tied = h[5] > 0;
    config_.vocab = h[5] < 0 ? 0u - u(5) : u(5);
    config_.max_positions = u(6);
    config_.rotation.pairs = kvsift::pairing::interleaved;
    if (config_.heads == 0 || config_.dim % config_.heads != 0)
      throw bad_file(file_.name(), "query heads is " + std::to_string(config_.heads) + "; it must divide dim, " +
                                       std::to_string(config_.dim) + "; the file is no llama2.c checkpoint");
    config_.head_dim = config_.dim / config_.heads;
    check(config_, file_.name());
    std::uint64_t const dim = config_.dim, keys = std::uint64_t{config_.kv_heads} * config_.head_dim;
    std::uint64_t const layer = 2 * dim + 2 * dim * dim + 2 * keys * dim + 3 * dim * config_.hidden;
    std::uint64_t const vocab = config_.vocab * dim * (config_.tied ? 1 : 2);
    std::uint64_t const bytes = header_bytes + 4 * (vocab + config_.layers * layer + dim) + rotation_bytes();
    if (bytes != file_.size())
      throw bad_file(file_.name(), "is " + std::to_string(file_.size()) + " bytes; its header (dim " +
                                       std::to_string(dim) + ", layers " + std::to_string(config_.layers) + ", vocab " +
                                       std::to_string(config_.vocab) + ") promises " + std::to_string(bytes) +
                                       (bytes > file_.size() ? "; it is truncated, fetch it again"
                                                             : "; it is too long, fetch it again"));
  }

  floats take(char const* what, std::uint64_t count) {
    floats out(count);
    read_floats(file_, at_, element_type::f32, count, out.data());
    if (auto const bad = first_not_finite(out.data(), count))
      throw bad_file(file_.name(), std::string(what) + " weight at byte " + std::to_string(at_ + 4 * *bad) +
                                       " is NaN or infinite; weights must be finite; the file is damaged");
    at_ += count * 4;
    return out;
  }

  file_source file_;
  reference_model::config config_;
  std::uint64_t at_ = 0;
};

inline model load_llama2c(std::filesystem::path const& path) { return llama2c_reader(file_source(path)).load(); }

}  // namespace reference_model
