#include <common/trace_file.hpp>

#include <filesystem>
#include <utility>

#include <reference_model/io/file_source.hpp>
#include <reference_model/io/safetensors.hpp>
#include <reference_model/io/write_safetensors.hpp>

namespace programs {

using reference_model::bad_file;

namespace {

trace read(reference_model::safetensors_reader file, std::string const& path) {
  auto const shape_of = [&](char const* name) {
    auto const found = file.tensors().find(name);
    if (found == file.tensors().end())
      throw bad_file(path, std::string("tensor '") + name + "' is missing; a trace has queries, keys and values");
    std::vector<std::uint64_t> const& shape = found->second.shape;
    std::string const what = std::string("tensor '") + name + "' has shape " + reference_model::shown(shape);
    if (shape.size() != 3) throw bad_file(path, what + "; three dimensions are expected");
    for (std::uint64_t s : shape)
      if (s < 1 || s > 1'000'000) throw bad_file(path, what + "; each dimension is 1 to 1000000");
    return shape;
  };
  auto const q = shape_of("queries"), k = shape_of("keys"), v = shape_of("values");
  std::vector<std::uint64_t> const expected = {q[0], k[1], q[2]};
  for (auto const& [name, shape] : {std::pair("keys", k), std::pair("values", v)})
    if (shape != expected)
      throw bad_file(path, std::string("tensor '") + name + "' has shape " + reference_model::shown(shape) + "; " +
                               reference_model::shown(expected) + " is expected");
  trace t;
  t.tokens = static_cast<std::uint32_t>(q[0]);
  t.query_heads = static_cast<std::uint32_t>(q[1]);
  t.kv_heads = static_cast<std::uint32_t>(k[1]);
  t.dim = static_cast<std::uint32_t>(q[2]);
  if (t.query_heads % t.kv_heads != 0)
    throw bad_file(path, "queries have " + std::to_string(t.query_heads) + " heads and keys " +
                             std::to_string(t.kv_heads) + "; the first must be a multiple of the second");
  t.queries.resize(q[0] * q[1] * q[2]);
  t.keys.resize(q[0] * k[1] * q[2]);
  t.values.resize(t.keys.size());
  file.read("queries", q, t.queries.data());
  file.read("keys", {q[0], k[1], q[2]}, t.keys.data());
  file.read("values", {q[0], k[1], q[2]}, t.values.data());
  if (auto const found = file.tensors().find("projection"); found != file.tensors().end()) {
    std::vector<std::uint64_t> const shape = found->second.shape;
    if (shape.size() != 2 || shape[0] != q[2] || shape[1] < 4 || shape[1] > 64)
      throw bad_file(path, "tensor 'projection' has shape " + reference_model::shown(shape) + "; give [" + std::to_string(t.dim) +
                               ", 4 to 64 bits]");
    t.bits = static_cast<std::uint32_t>(shape[1]);
    t.projection.resize(shape[0] * shape[1]);
    file.read("projection", shape, t.projection.data());
  }
  if (auto const found = file.tensors().find("uniforms"); found != file.tensors().end()) {
    std::vector<std::uint64_t> const shape = found->second.shape, draws = {q[0], k[1]};
    if (shape != draws)
      throw bad_file(path, "tensor 'uniforms' has shape " + reference_model::shown(shape) + "; give one draw for each token and KV head, " +
                               reference_model::shown(draws));
    t.uniforms.resize(q[0] * k[1]);
    file.read("uniforms", shape, t.uniforms.data());
    for (float const u : t.uniforms)
      if (!(u >= 0 && u < 1)) throw bad_file(path, "tensor 'uniforms' holds " + std::to_string(u) + "; give draws from 0 to below 1");
  }
  return t;
}

}  // namespace

trace load_trace(std::string const& path) { return read(reference_model::safetensors_reader(std::filesystem::path(path)), path); }
trace load_trace(std::string const& name, std::string bytes) {
  return read(reference_model::safetensors_reader(reference_model::file_source(name, std::move(bytes))), name);
}

void save_trace(std::string const& path, trace const& t) {
  reference_model::write_safetensors(path, {{"queries", {t.tokens, t.query_heads, t.dim}, t.queries.data()},
                                            {"keys", {t.tokens, t.kv_heads, t.dim}, t.keys.data()},
                                            {"values", {t.tokens, t.kv_heads, t.dim}, t.values.data()}});
}

void save_attention(std::string const& path, std::vector<std::uint64_t> const& shape,
                    std::vector<float> const& outputs) {
  reference_model::write_safetensors(path, {{"attention", shape, outputs.data()}});
}

}  // namespace programs
