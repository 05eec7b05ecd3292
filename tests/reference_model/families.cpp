// Logits that transformers computes with models of every family (tests/data/family_logits.json), whose config.json and
// tensors are named and shaped as it saves them. Weights come from a formula here and there.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <kvsift/exec/executor.hpp>
#include <reference_model/io/load_model.hpp>
#include <reference_model/model/transformer.hpp>

#include <support/files.hpp>
#include <support/safetensors_lite.hpp>

#include "plain_cache.hpp"
#include "temporary_folder.hpp"

namespace {

using namespace reference_model;

/// From a seed that the name gives: matrices within 0.25 of 0, biases within 0.5, gains within 0.5 of 1.
support::tensor formula(std::string const& name, std::vector<std::size_t> const& shape) {
  std::uint32_t s = 2166136261u;
  for (char c : name) s = (s ^ static_cast<unsigned char>(c)) * 16777619u;
  double const reach = shape.size() > 1 ? 0.25 : 0.5;
  double const middle = shape.size() == 1 && name.ends_with("weight") ? 1 : 0;
  std::size_t count = 1;
  for (std::size_t n : shape) count *= n;
  support::tensor t{shape, std::vector<float>(count)};
  for (float& x : t.numbers) {
    s = 1664525u * s + 1013904223u;
    x = static_cast<float>(middle + (static_cast<double>(s >> 8) / 16777216.0 - 0.5) * 2 * reach);
  }
  return t;
}

TEST_CASE("transformers' logits, family by family") {
  auto const fixtures = nlohmann::json::parse(support::read_file(support::test_data() / "family_logits.json"));
  CHECK(fixtures.size() >= 7);
  double worst = 0;
  std::size_t compared = 0;
  for (auto const& fixture : fixtures) {
    std::string const name = fixture["family"].get<std::string>() + ", " + fixture["special"].get<std::string>();
    INFO(name);
    temporary_folder folder;
    folder.write("config.json", fixture["config"].dump());
    std::map<std::string, support::tensor> tensors;
    for (auto const& [tensor, shape] : fixture["tensors"].items()) tensors[tensor] = formula(tensor, shape);
    folder.write("model.safetensors", support::to_safetensors(tensors));
    model const m = load_model(folder.path());

    std::vector<std::uint32_t> const tokens = fixture["tokens"];
    std::vector<std::uint32_t> positions(tokens.size());
    for (std::uint32_t i = 0; i < positions.size(); ++i) positions[i] = i;
    auto const n = static_cast<std::uint32_t>(tokens.size());
    transformer decoder(m, n, logits_of::every_token);
    plain::cache cache(m.config);
    float const* const logits = decoder.forward(kvsift::serial_executor{}, cache, tokens.data(), positions.data(), n);
    double apart = 0;
    for (auto const& [token, expected] : fixture["logits"].items())
      for (std::size_t i = 0; i < expected.size(); ++i, ++compared)
        apart = std::max(apart, std::abs(static_cast<double>(logits[std::stoul(token) * m.config.vocab + i]) -
                                         expected[i].get<double>()));
    CHECK(apart < 3e-5);  // they are written to 5 digits
    worst = std::max(worst, apart);
  }
  CHECK(compared >= 7 * 64);
  MESSAGE("largest difference ", worst, " of ", compared);
}

}  // namespace
