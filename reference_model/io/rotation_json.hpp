#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>

#include <kvsift/core/rotary.hpp>
#include <reference_model/io/config_fields.hpp>
#include <reference_model/model/config.hpp>

namespace reference_model::detail {

/// rope_theta and partial_rotary_factor, of the configuration or of the object within it that scales.
inline void read_base(config_fields const& from, std::uint32_t head_dim, kvsift::rotary_encoding& r) {
  r.theta = from.number("rope_theta", r.theta);
  if (!from.given("partial_rotary_factor")) return;
  double const share = from.within("partial_rotary_factor", from.number("partial_rotary_factor"), 0, 1);
  auto const turning = static_cast<std::uint32_t>(share * head_dim);
  if (turning == 0 || turning % 2 != 0)
    from.refuse("partial_rotary_factor", "of head_dim, " + std::to_string(head_dim) + ", it turns " +
                                             std::to_string(turning) + "; an even number from 2 is expected");
  r.rotary_dim = turning == head_dim ? 0 : turning;
}

/// The amplitude of YaRN's cosines and sines, where attention_factor does not state it.
inline double yarn_amplitude(config_fields const& rope, double factor) {
  auto const grown = [&](double share) { return 0.1 * share * std::log(factor) + 1; };
  double const share = rope.within("mscale", rope.number("mscale", 0), 0, 100);
  double const all = rope.within("mscale_all_dim", rope.number("mscale_all_dim", 0), 0, 100);
  return share != 0 && all != 0 ? grown(share) / grown(all) : grown(1);
}

/// The turns between which a ramp lies.
inline void read_ramp(config_fields const& rope, char const* slow, char const* fast, kvsift::rotary_encoding& r) {
  r.slow = rope.within(slow, rope.number(slow, r.slow), 1e-6, 1e6);
  r.fast = rope.within(fast, rope.number(fast, r.fast), 1e-6, 1e6);
  if (!(r.fast > r.slow)) rope.refuse(fast, "it must be above " + std::string(slow) + ", " + shown(json(r.slow)));
}

/// The encoding of rope_parameters, or of rope_scaling as files before it have. `r` is the encoding without it; `c` has
/// head_dim and max_positions.
inline kvsift::rotary_encoding scaled_rotation(config_fields const& fields, char const* field, config const& c,
                                               kvsift::rotary_encoding r) {
  if (!fields[field].is_object()) fields.refuse(field, "an object is expected");
  config_fields const rope(fields.file(), fields[field]);
  char const* const spelling = rope.given("rope_type") ? "rope_type" : "type";
  json const type = rope.given(spelling) ? rope[spelling] : json("default");
  rope.only("type", type);
  read_base(rope, c.head_dim, r);

  char const* const original = "original_max_position_embeddings";
  auto const trained = [&] {  // stated in the object, or beside it, or what the model has
    if (fields.given(original)) rope.only(original, fields[original]);
    std::uint32_t const positions = rope.whole(original, fields.whole(original, c.max_positions));
    if (positions == 0) rope.refuse(original, "at least 1 is expected");
    return positions;
  };
  std::set<std::string> known{"rope_type", "type", "rope_theta", "partial_rotary_factor"};
  if (type == "linear") {
    known.insert("factor");
    r.scaling = kvsift::rotary_scaling::linear;
    r.factor = rope.number("factor");
  } else if (type == "dynamic") {
    known.insert("factor");
    r.scaling = kvsift::rotary_scaling::dynamic_ntk;
    r.factor = rope.number("factor");
    r.trained = c.max_positions;
  } else if (type == "llama3") {
    known.insert({"factor", original, "low_freq_factor", "high_freq_factor"});
    r.scaling = kvsift::rotary_scaling::llama3;
    r.factor = rope.number("factor");
    r.trained = trained();
    r.slow = rope.number("low_freq_factor");
    r.fast = rope.number("high_freq_factor");
    read_ramp(rope, "low_freq_factor", "high_freq_factor", r);
  } else if (type == "yarn") {
    known.insert({"factor", original, "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
                  "truncate", "finetuned"});
    rope.only("truncate", true);
    r.scaling = kvsift::rotary_scaling::yarn;
    r.trained = trained();
    r.factor = rope.number("factor", static_cast<double>(c.max_positions) / r.trained);
    read_ramp(rope, "beta_slow", "beta_fast", r);
  } else if (type != "default") {
    rope.refuse(spelling, "default, linear, dynamic, yarn and llama3 are implemented; use another checkpoint");
  }
  for (auto const& [name, value] : fields[field].items())
    if (!value.is_null() && !known.contains(name))
      fields.refuse(field, "its '" + name + "' is not implemented for " + spelling + " " + shown(type) +
                               "; use another checkpoint");
  rope.within("factor", r.factor, 1, 1e6);
  if (type == "yarn")
    r.amplitude =
        rope.within("attention_factor", rope.number("attention_factor", yarn_amplitude(rope, r.factor)), 1e-3, 1e3);
  return r;
}

/// The rotary encoding of a configuration. `c` has head_dim and max_positions; a model that is stretched beyond the
/// positions it states gets those it reaches.
inline void read_rotation(config_fields const& fields, config& c) {
  read_base(fields, c.head_dim, c.rotation);
  kvsift::rotary_encoding const plain = c.rotation;
  bool found = false;
  for (char const* field : {"rope_scaling", "rope_parameters"}) {
    if (!fields.given(field)) continue;
    kvsift::rotary_encoding const read = scaled_rotation(fields, field, c, plain);
    if (found && read != c.rotation) fields.refuse(field, "rope_scaling states another rotation; keep one of the two");
    c.rotation = read;
    found = true;
  }
  double reached = c.max_positions;
  if (c.rotation.scaling == kvsift::rotary_scaling::yarn) reached = c.rotation.trained * c.rotation.factor;
  if (c.rotation.scaling == kvsift::rotary_scaling::dynamic_ntk) reached = c.max_positions * c.rotation.factor;
  c.max_positions = std::max(c.max_positions, static_cast<std::uint32_t>(std::min(reached, 0x1p28)));
}

}  // namespace reference_model::detail
