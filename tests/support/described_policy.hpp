#pragma once

#include <cstdint>

#include <kvsift/policy/catalogue.hpp>
#include <oracle/description.hpp>

namespace support {

/// The library's fields of what an oracle decides by. What a trace brings along (projections, draws) is set by the caller.
inline kvsift::policy_fields fields_of(oracle::description const& d) {
  auto const u32 = [](int x) { return static_cast<std::uint32_t>(x); };
  kvsift::policy_fields f(d.policy);
  if (d.policy == "full") return f;
  if (d.policy != "streaming_llm" && d.policy != "reservoir") f.set("budget", u32(d.budget));
  if (d.policy == "snapkv" || d.policy == "ada_snapkv") {
    f.set("window", u32(d.window)).set("kernel", u32(d.kernel)).set("pool", d.pool == oracle::pool::max ? "max" : "avg");
    if (d.policy == "ada_snapkv") f.set("floor", kvsift::field_value(d.floor));
    return f;
  }
  f.set("sinks", u32(d.sinks));
  if (d.reference) f.set("profile", "reference");
  if (d.policy == "strided") {
    f.set("stride", u32(d.stride)).set("score", d.score == oracle::score::mean ? "mean" : "accumulated");
    if (d.by_deviation) return f.set("scope", "deviation").set("newest", u32(d.newest)).set("excluded", u32(d.excluded));
    return f.set("scope", "window").set("recent", u32(d.recent));
  }
  if (d.policy == "tova") {
    f.set("shared", d.shared);
  } else if (d.policy == "roco" || d.policy == "deviation_scope") {
    f.set("newest", u32(d.newest)).set("excluded", u32(d.excluded));
    if (d.policy == "deviation_scope") f.set("score", d.score == oracle::score::mean ? "mean" : "accumulated");
  } else if (d.policy != "recent_global") {
    f.set("recent", u32(d.recent));
  }
  if (d.policy == "heavy_hitter") f.set("history", u32(d.history)).set("threshold", d.threshold);
  if (d.policy == "lsh") f.set("compare", d.by_query ? "query" : "key");
  return f;
}

}  // namespace support
