// The fingerprint that ties a cache to its model: every weight and every field that computes counts.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <common/cache_file.hpp>
#include <reference_model/model/weights.hpp>

#include "tiny_model.hpp"

namespace {

using namespace reference_model;

TEST_CASE("another number in any weight gives another fingerprint") {
  tiny::sizes const sizes{2, 12, 4, 2, 6, 10, 11};
  config everything = tiny::make_config(sizes);
  everything.input_bias = everything.output_bias = everything.feed_bias = everything.head_norms = true;
  std::size_t weights = 0;
  for (config const& c : {everything, tiny::make_gpt2_config({2, 12, 4, 4, 3, 10, 11})}) {
    model m = tiny::make_model(c, 5);
    std::uint64_t const own = programs::fingerprint(m);
    auto const counts = [&](std::string const& name, floats& numbers) {
      if (numbers.empty()) return;
      INFO(name);
      float& last = numbers.data()[numbers.size() - 1];
      float const kept = std::exchange(last, last + 1);
      CHECK(programs::fingerprint(m) != own);
      last = kept;
      ++weights;
    };
    counts("embedding", m.embedding);
    counts("position embedding", m.position_embedding);
    for (layer_weights& layer : m.layers)
      for (std::size_t kind = 0; kind < layer_weights::all().size(); ++kind)
        counts("kind " + std::to_string(kind), layer.*layer_weights::all()[kind]);
    counts("final norm", m.final_norm);
    counts("bias of the final norm", m.final_norm_bias);
    counts("unembedding", m.unembedding);
    CHECK(programs::fingerprint(m) == own);
  }
  CHECK(weights == (1 + 2 * 18 + 2) + (2 + 2 * 16 + 3));
}

TEST_CASE("another field that computes gives another fingerprint") {
  model m = tiny::make_model(tiny::make_config({2, 12, 4, 2, 6, 10, 11}), 5);
  std::uint64_t const own = programs::fingerprint(m);
  std::vector<std::pair<char const*, std::function<void(config&)>>> const changes{
      {"norm", [](config& c) { c.norm = normalisation::layer; }},
      {"norm_eps", [](config& c) { c.norm_eps = 1e-6; }},
      {"activation", [](config& c) { c.between = activation::gelu; }},
      {"learned positions", [](config& c) { c.learned_positions = true; }},
      {"biases", [](config& c) { c.bias.steepness = 8; }},
      {"theta", [](config& c) { c.rotation.theta = 500; }},
      {"pairs", [](config& c) { c.rotation.pairs = kvsift::pairing::interleaved; }},
      {"rotary_dim", [](config& c) { c.rotation.rotary_dim = 2; }},
      {"scaling", [](config& c) { c.rotation.scaling = kvsift::rotary_scaling::yarn; }},
      {"factor", [](config& c) { c.rotation.factor = 2; }},
      {"trained", [](config& c) { c.rotation.trained = 2; }},
      {"slow", [](config& c) { c.rotation.slow = 2; }},
      {"fast", [](config& c) { c.rotation.fast = 2; }},
      {"amplitude", [](config& c) { c.rotation.amplitude = 2; }},
      {"max_positions", [](config& c) { c.max_positions = 65; }},
      {"tied", [](config& c) { c.tied = true; }},
  };
  for (auto const& change : changes) {
    INFO(change.first);
    config const kept = m.config;
    change.second(m.config);
    CHECK(programs::fingerprint(m) != own);
    m.config = kept;
  }
}

}  // namespace
