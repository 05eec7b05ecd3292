// KV-Align with the original's networks: forward passes, one eviction, iterated ones, and a whole GPT-2, against recorded
// vectors. The networks are in the data folder alone.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <kvsift/kvsift.hpp>
#include <kvsift/position/learned_align.hpp>
#include <reference_model/io/align_networks.hpp>
#include <reference_model/model/metrics.hpp>
#include <reference_model/model/transformer.hpp>

#include <support/safetensors_lite.hpp>

#include "expect_bad_file.hpp"
#include "formula_gpt2.hpp"
#include "shared_data.hpp"
#include "temporary_folder.hpp"

namespace {

using namespace reference_model;
using u32 = std::uint32_t;
using json = nlohmann::json;

config geometry(u32 layers, u32 kv_heads) {
  config c;
  c.layers = layers;
  c.kv_heads = c.heads = kv_heads;
  c.head_dim = 64;
  return c;
}

kvsift::align_network network(std::string const& name) {
  bool const smol = name.find("smollm2") != std::string::npos;
  return load_align_network(shared_file("kv_align/" + name + ".safetensors"), smol ? geometry(30, 3) : geometry(6, 12));
}

float input(std::string const& x, int i) {
  return x == "A" ? static_cast<float>(i - 32) / 64 : (static_cast<float>((37 * i) % 64) - 31.5f) / 32;
}

/// A cache whose every vector is given(head, position, component), after `limit` tokens and then one more at a time, `more` times.
template <class Given>
auto after_evictions(kvsift::learned_align const& rule, kvsift::cache_shape const& shape, u32 limit, u32 more, Given const& given) {
  auto cache = std::make_unique<kvsift::kv_tensor<decltype(kvsift::streaming_llm(4, limit)), kvsift::fp32_payload, kvsift::learned_align>>(
      shape, kvsift::streaming_llm(4, limit - 4), kvsift::cache_options{.max_piece = limit + 1}, rule);
  u32 const heads = shape.kv_heads, dim = shape.head_dim;
  for (u32 seen = 0, n = limit + 1; seen < limit + more; seen += n, n = 1) {
    std::vector<float> x(std::size_t{n} * heads * dim), out(x.size());
    for (u32 t = 0; t < n; ++t)
      for (u32 h = 0; h < heads; ++h)
        for (u32 d = 0; d < dim; ++d) x[(std::size_t{t} * heads + h) * dim + d] = given(h, seen + t, d);
    for (u32 l = 0; l < shape.layers; ++l) kvsift::step(kvsift::serial_executor{}, (*cache)[l], {x.data(), x.data(), x.data(), n}, out.data());
    kvsift::evict(kvsift::serial_executor{}, *cache);
  }
  return cache;
}

template <class Cache>
float const* held_at(Cache const& cache, u32 layer, u32 head, u32 rank, bool keys) {
  auto const row = cache.view().row(cache.view().shape.row(layer, 0, head));
  for (u32 slot = 0; slot < row.state->held; ++slot)
    if (row.ranks[slot] == rank) return reinterpret_cast<float const*>((keys ? row.keys : row.values).at(slot));
  return nullptr;
}

double farthest(float const* mine, json const& recorded) {
  double worst = 0;
  for (std::size_t i = 0; i < recorded.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(mine[i]) - recorded[i].get<double>()));
  return worst;
}

json recorded() {
  std::ifstream file(shared_file("kv_align/forward_vectors.json"));
  return json::parse(file);
}

}  // namespace

TEST_CASE("KV-Align: networks of the original, forward") {
  NEEDS_SHARED(shared_file("kv_align/forward_vectors.json"));
  for (json const& one : recorded()["cases"]) {
    std::string const name = one["net"], x = one["x"];
    CAPTURE(name);
    bool const smol = name.find("smollm2") != std::string::npos;
    kvsift::align_network const net = network(name);
    u32 const p = one["p"], b = one["b"], h = one["h"];
    // A slot comes to rank 4 + p by the one eviction that there is.
    auto const cache = after_evictions({net.view(), net.view(), 4}, {smol ? 30u : 6u, smol ? 3u : 12u, 1, 64, 1}, p + 5, 1,
                                       [&](u32, u32, u32 d) { return input(x, static_cast<int>(d)); });
    CHECK(farthest(held_at(*cache, b, h, 4 + p, true), one["y"]) < 1e-6);
    CHECK(farthest(held_at(*cache, b, h, 4 + p, false), one["y"]) < 1e-6);
  }
}

TEST_CASE("KV-Align: one eviction, and three in a row") {
  NEEDS_SHARED(shared_file("kv_align/forward_vectors.json"));
  kvsift::align_network const keys = network("keys_network_distilgpt2"), values = network("values_network_distilgpt2");
  kvsift::learned_align const rule{keys.view(), values.view(), 4};
  auto const formula = [](u32 h, u32 s, u32 i) { return (static_cast<float>((7 * h + 13 * s + 5 * i) % 64) - 31.5f) / 32; };
  auto const once = after_evictions(rule, {6, 12, 1, 64, 1}, 6, 1, formula);
  json const all = recorded();
  for (json const& row : all["eviction_distilgpt2_layer5"]["rows"]) {
    CHECK(farthest(held_at(*once, 5, row["h"], row["slot"], true), row["key"]) < 1e-6);
    CHECK(farthest(held_at(*once, 5, row["h"], row["slot"], false), row["value"]) < 1e-6);
  }
  for (u32 s = 0; s < 4; ++s)
    for (u32 d = 0; d < 64; ++d) CHECK(held_at(*once, 5, 3, s, true)[d] == formula(3, s, d));
  auto const thrice = after_evictions(rule, {6, 12, 1, 64, 1}, 7, 3, [](u32, u32, u32 d) { return input("C", static_cast<int>(d)); });
  CHECK(farthest(held_at(*thrice, 0, 0, 4, true), all["iterated_keys_distilgpt2_C_p2_1_0_b0_h0"]) < 2e-6);
}

TEST_CASE("KV-Align: a GPT-2 that a formula gives, token by token") {
  NEEDS_SHARED(shared_file("kv_align/forward_vectors.json"));
  NEEDS_SHARED(shared_file("positions_streaming/tiny_model_vectors.json"));
  model const m = formula::make_model();
  auto const of_this_model = [&](char const* name) {  // its layers and heads are the first of DistilGPT2's
    safetensors_reader file(shared_file(std::string("kv_align/") + name + ".safetensors"));
    auto const take = [&](char const* tensor, std::size_t rows) {
      auto const& shape = file.tensors().at(tensor).shape;
      std::vector<float> x(file.tensors().at(tensor).elements);
      file.read(tensor, shape, x.data());
      if (rows != 0) x.resize(rows * shape[1]);
      return x;
    };
    auto const view = [](std::vector<float> const& x) { return kvsift::span<float const>{x.data(), x.size()}; };
    auto const p = take("emb_pos.weight", 0), b = take("emb_blocks.weight", 2), h = take("emb_heads.weight", 2), w1 = take("fc1.weight", 0),
               b1 = take("fc1.bias", 0), w2 = take("fc2.weight", 0), b2 = take("fc2.bias", 0), w3 = take("fc3.weight", 0), b3 = take("fc3.bias", 0);
    return kvsift::align_network({view(p), view(b), view(h), view(w1), view(b1), view(w2), view(b2), view(w3), view(b3)}, 64, 2, 2, 251);
  };
  kvsift::align_network const keys = of_this_model("keys_network_distilgpt2"), values = of_this_model("values_network_distilgpt2");
  std::ifstream file(shared_file("positions_streaming/tiny_model_vectors.json"));
  json const vectors = json::parse(file);
  std::vector<u32> const tokens = vectors["_ids"]["tinygpt2_data"];
  std::vector<double> const expected = vectors["tinygpt2_kv"];
  constexpr u32 slots = 12;
  kvsift::kv_tensor cache{kvsift::cache_shape{2, 2, 1, 64, 1}, kvsift::streaming_llm(4, slots - 4), {.max_piece = slots + 1},
                          kvsift::learned_align{keys.view(), values.view(), 4}};
  transformer decoder(m, slots + 1);
  std::vector<u32> positions(slots + 1);
  for (u32 i = 0; i <= slots; ++i) positions[i] = i;
  double worst = 0, sum = 0;
  for (u32 i = 0; i < expected.size(); ++i) {
    u32 const n = i == 0 ? slots + 1 : 1;
    float const* const logits =
        decoder.forward(kvsift::serial_executor{}, cache, &tokens[slots + 1 + i - n], &positions[slots + 1 - n], n);
    double const nll = negative_log_likelihood(logits, m.config.vocab, tokens[slots + 1 + i]);
    worst = std::max(worst, std::abs(nll - expected[i]));
    sum += nll;
  }
  CHECK(worst < 5e-5);
  CHECK(sum / static_cast<double>(expected.size()) == doctest::Approx(8.432743).epsilon(1e-6));
}

TEST_CASE("KV-Align: files that are no networks of this model") {
  temporary_folder const folder;
  auto const tensors = [](std::size_t layers) {
    std::map<std::string, support::tensor> t;
    auto const add = [&](char const* name, std::vector<std::size_t> shape) {
      std::size_t n = 1;
      for (std::size_t const s : shape) n *= s;
      t[name] = {shape, std::vector<float>(n, 0.5f)};
    };
    add("emb_pos.weight", {9, 3});
    add("emb_blocks.weight", {layers, 2});
    add("emb_heads.weight", {4, 2});
    add("fc1.weight", {5, 8 + 7});
    add("fc1.bias", {5});
    add("fc2.weight", {6, 5});
    add("fc2.bias", {6});
    add("fc3.weight", {8, 6});
    add("fc3.bias", {8});
    return t;
  };
  config c = geometry(2, 4);
  c.head_dim = 8;
  auto const load = [&](std::map<std::string, support::tensor> const& t) {
    folder.write("net.safetensors", support::to_safetensors(t));
    return load_align_network(folder.path() / "net.safetensors", c);
  };
  std::string const file = (folder.path() / "net.safetensors").string();
  CHECK(load(tensors(2)).view().positions == 4);
  expect_bad_file(file, {"emb_blocks.weight", "3 rows", "2 layers"}, [&] { load(tensors(3)); });
  auto t = tensors(2);
  t.erase("fc2.bias");
  expect_bad_file(file, {"fc2.bias", "missing"}, [&] { load(t); });
  t = tensors(2);
  t["wte.weight"] = t["fc1.bias"];
  expect_bad_file(file, {"wte.weight", "no place"}, [&] { load(t); });
  t = tensors(2);
  t["fc3.weight"] = {{7, 6}, std::vector<float>(42, 0.5f)};
  expect_bad_file(file, {"third matrix", "42"}, [&] { load(t); });
  t = tensors(2);
  t["fc1.bias"].numbers[2] = std::nanf("");
  expect_bad_file(file, {"fc1.bias", "NaN"}, [&] { load(t); });
}
