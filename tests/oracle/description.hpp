#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <oracle/by_attention.hpp>
#include <oracle/by_deviation.hpp>
#include <oracle/by_key_norm.hpp>
#include <oracle/by_position.hpp>
#include <oracle/by_signature.hpp>
#include <oracle/by_window.hpp>
#include <oracle/heavy_hitter.hpp>
#include <oracle/in_pieces.hpp>
#include <oracle/rule.hpp>

namespace oracle {

/// A policy as its JSON object names it. Fields that the policy does not have are ignored.
struct description {
  std::string policy;
  int budget = 0;
  int sinks = 0;
  int recent = 0;
  int excluded = 0;
  int newest = 10;
  int history = 1;
  bool threshold = false;
  bool shared = false;
  int window = 0;
  int kernel = 1;
  oracle::pool pool = oracle::pool::max;
  double floor = 0.2;
  bool by_query = false;                      // lsh only
  int stride = 1;                             // strided only
  bool by_deviation = false;                  // strided only: its scope
  bool reference = false;                     // roco and strided only: as published
  oracle::score score = oracle::score::mean;  // deviation_scope and strided only
};

/// The policies the oracle knows.
inline std::vector<std::string> policy_names() {
  return {"full",       "streaming_llm",   "accumulated_attention", "mean_attention", "tova",
          "roco",       "deviation_scope", "recent_global",         "heavy_hitter",   "key_norm",
          "keep_it_odd", "lsh",           "snapkv",                "ada_snapkv",     "strided",
          "reservoir", "keydiff"};
}

/// The rule of a description; std::invalid_argument if it names no policy of policy_names().
inline std::unique_ptr<rule> make_rule(description const& d) {
  if (d.policy == "full") return std::make_unique<full>();
  if (d.policy == "streaming_llm") return std::make_unique<streaming_llm>(d.sinks, d.recent);
  if (d.policy == "accumulated_attention") {
    return std::make_unique<column_attention>(score::accumulated, d.budget, d.sinks, d.recent);
  }
  if (d.policy == "mean_attention") return std::make_unique<column_attention>(score::mean, d.budget, d.sinks, d.recent);
  if (d.policy == "tova") return std::make_unique<tova>(d.budget, d.sinks, d.shared);
  if (d.policy == "roco") {
    return std::make_unique<deviation_scope>(score::mean, d.budget, d.sinks, d.newest, d.excluded,
                                             d.reference ? scope_profile::forced : scope_profile::fixed);
  }
  if (d.policy == "deviation_scope") {
    return std::make_unique<deviation_scope>(d.score, d.budget, d.sinks, d.newest, d.excluded);
  }
  if (d.policy == "recent_global") return std::make_unique<recent_global>(d.budget, d.sinks);
  if (d.policy == "heavy_hitter") {
    return std::make_unique<heavy_hitter>(d.budget, d.sinks, d.recent, d.history, d.threshold);
  }
  if (d.policy == "key_norm") return std::make_unique<key_norm>(d.budget, d.sinks, d.recent);
  if (d.policy == "keep_it_odd") return std::make_unique<keep_it_odd>(d.budget, d.sinks, d.recent);
  if (d.policy == "keydiff") return std::make_unique<keydiff>(d.budget, d.sinks, d.recent);
  if (d.policy == "snapkv") return std::make_unique<snapkv>(d.budget, d.window, d.kernel, d.pool);
  if (d.policy == "ada_snapkv") return std::make_unique<ada_snapkv>(d.budget, d.window, d.kernel, d.pool, d.floor);
  if (d.policy == "lsh") return std::make_unique<lsh>(d.budget, d.sinks, d.recent, d.by_query);
  if (d.policy == "reservoir") return std::make_unique<reservoir>(d.sinks, d.recent);
  if (d.policy == "strided") {
    scope_profile const profile = d.reference ? scope_profile::forced : scope_profile::fixed;
    std::unique_ptr<rule> inner = std::make_unique<column_attention>(d.score, d.budget, d.sinks, d.recent);
    if (d.by_deviation) inner = std::make_unique<deviation_scope>(d.score, d.budget, d.sinks, d.newest, d.excluded, profile);
    return std::make_unique<strided>(std::move(inner), d.stride, d.reference);
  }
  throw std::invalid_argument("oracle: no policy is called " + d.policy);
}

/// The JSON object of a description, every field of its policy written out.
inline std::string to_json(description const& d) {
  std::string text = "{\"policy\":\"" + d.policy + "\"";
  auto const number = [&text](char const* field, int value) {
    text += std::string(",\"") + field + "\":" + std::to_string(value);
  };
  auto const flag = [&text](char const* field, bool value) {
    text += std::string(",\"") + field + "\":" + (value ? "true" : "false");
  };
  bool const pieces = d.policy == "strided";
  bool const by_deviation = d.policy == "roco" || d.policy == "deviation_scope" || (pieces && d.by_deviation);
  bool const by_window = d.policy == "snapkv" || d.policy == "ada_snapkv";
  bool const has_recent = d.policy == "streaming_llm" || d.policy == "accumulated_attention" ||
                          d.policy == "mean_attention" || d.policy == "heavy_hitter" || d.policy == "key_norm" ||
                          d.policy == "keep_it_odd" || d.policy == "lsh" || d.policy == "keydiff" || d.policy == "reservoir" ||
                          (pieces && !d.by_deviation);
  if (d.policy != "full" && d.policy != "streaming_llm" && d.policy != "reservoir") number("budget", d.budget);
  if (d.policy != "full" && !by_window) number("sinks", d.sinks);
  if (has_recent) number("recent", d.recent);
  if (by_deviation) {
    number("excluded", d.excluded);
    number("newest", d.newest);
  }
  if (d.reference) text += ",\"profile\":\"reference\"";
  if (pieces) {
    number("stride", d.stride);
    text += std::string(",\"scope\":\"") + (d.by_deviation ? "deviation" : "window") + "\"";
  }
  if (d.policy == "deviation_scope" || pieces) {
    text += std::string(",\"score\":\"") + (d.score == score::mean ? "mean" : "accumulated") + "\"";
  }
  if (d.policy == "heavy_hitter") {
    number("history", d.history);
    flag("threshold", d.threshold);
  }
  if (by_window) {
    number("window", d.window);
    number("kernel", d.kernel);
    text += std::string(",\"pool\":\"") + (d.pool == pool::max ? "max" : "avg") + "\"";
  }
  if (d.policy == "ada_snapkv") text += ",\"floor\":" + std::to_string(d.floor);
  if (d.policy == "lsh") text += std::string(",\"compare\":\"") + (d.by_query ? "query" : "key") + "\"";
  if (d.policy == "tova") flag("shared", d.shared);
  return text + "}";
}

}  // namespace oracle
