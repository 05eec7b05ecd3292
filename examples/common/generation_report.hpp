#pragma once
// What a run of `generate` came to: kept tokens, bytes, time, quality; for people and as JSON.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <common/json_output.hpp>
#include <common/metrics/readability.hpp>
#include <common/retention_map.hpp>
#include <common/session.hpp>
#include <common/storage.hpp>
#include <common/table.hpp>
#include <reference_model/model/config.hpp>
#include <reference_model/model/metrics.hpp>

namespace programs {

struct generation_report {
  std::string policy, storage, layout;
  bool bounded = false;
  standing stand = standing::original;
  std::uint32_t slots = 0;
  std::size_t prompt_tokens = 0;
  std::vector<std::uint32_t> tokens;     // of the prompt and drawn ones
  std::vector<std::uint32_t> likeliest;  // [drawn], by the logits that a token was drawn from
  std::vector<double> nll;               // [drawn], of the token drawn
  std::vector<float> step_seconds;       // of each step: draw, write, feed
  double prompt_seconds = 0;
  double full_mean_nll = std::numeric_limits<double>::quiet_NaN();   // of the same tokens under a full cache
  double same_likeliest = std::numeric_limits<double>::quiet_NaN();  // share of steps where both caches agree on the likeliest
  std::optional<readability> words{};  // of what was drawn, where a word list was given
  std::uint32_t seen = 0;
  std::vector<std::vector<std::vector<std::uint32_t>>> held;  // [layer][KV head], positions at the end, ascending
  session_memory memory;
  compression saved;
  std::size_t full_bytes = 0;

  // Memory for every step is taken here, so that the loop takes none.
  generation_report(reference_model::config const& c, policy_choice const& choice, standing stands, bool in_pages,
                    std::vector<std::uint32_t> const& prompt, std::uint64_t positions)
      : policy(choice.name), storage(choice.storage), layout(in_pages ? "pages" : "rows"), bounded(choice.bounded()), stand(stands), slots(choice.slots()),
        prompt_tokens(prompt.size()), config_(c) {
    std::size_t const most = static_cast<std::size_t>(positions) + 1;
    tokens.reserve(most);
    tokens = prompt;
    tokens.reserve(most);
    likeliest.reserve(most - prompt.size());
    nll.reserve(most - prompt.size());
    step_seconds.reserve(most - prompt.size());
  }

  void drew(std::uint32_t token, float const* logits, std::uint32_t vocab) {
    tokens.push_back(token);
    likeliest.push_back(static_cast<std::uint32_t>(std::max_element(logits, logits + vocab) - logits));
    nll.push_back(reference_model::negative_log_likelihood(logits, vocab, token));
  }

  void finish(session const& run) {
    seen = run.seen();
    memory = run.memory();
    saved = run.saved();
    full_bytes = full_cache_bytes(config_, storage, seen);
    held.assign(config_.layers, {});
    for (std::uint32_t l = 0; l < config_.layers; ++l)
      for (std::uint32_t h = 0; h < config_.kv_heads; ++h) {
        auto const positions = run.held(l, h);
        held[l].emplace_back(positions.begin(), positions.end());
        std::sort(held[l].back().begin(), held[l].back().end());
      }
  }

  std::uint64_t evicted() const {
    std::uint64_t gone = 0;
    for (auto const& layer : held)
      for (auto const& head : layer) gone += seen - head.size();
    return gone;
  }
  double mean_nll() const {
    double sum = 0;
    for (double const one : nll) sum += one;
    return sum / static_cast<double>(nll.size());
  }
  double tokens_per_second() const {
    double sum = 0;
    for (float const one : step_seconds) sum += static_cast<double>(one);
    return static_cast<double>(step_seconds.size()) / sum;
  }

  std::string summary() const;
  std::string json(std::string const& text) const;

 private:
  reference_model::config const& config_;
};

// The tokens that each head of a layer keeps: "128", or "90 to 128" where they differ.
inline std::string kept_of(std::vector<std::vector<std::uint32_t>> const& layer) {
  std::size_t low = layer.front().size(), high = low;
  for (auto const& head : layer) low = std::min(low, head.size()), high = std::max(high, head.size());
  return low == high ? std::to_string(low) : std::to_string(low) + " to " + std::to_string(high);
}

inline std::string generation_report::summary() const {
  auto const line = [](char const* what, std::string const& text) {
    std::string const name = what;
    return name + std::string(10 - name.size(), ' ') + text + "\n";
  };
  std::string kept = kept_of(held.front());
  bool const alike = std::all_of(held.begin(), held.end(), [&](auto const& layer) { return kept_of(layer) == kept; });
  for (std::size_t l = 1; !alike && l < held.size(); ++l) kept += ", " + kept_of(held[l]);
  std::size_t const drawn = nll.size();
  std::string text = "\n" + line("policy", policy + (bounded ? ", " + std::to_string(slots) + " slots per KV head" : "") + ", " +
                                               name_of(stand) + " positions, " + storage + " in " + layout);
  text += line("tokens", std::to_string(seen) + " seen (" + std::to_string(prompt_tokens) + " of the prompt), " +
                             std::to_string(drawn) + " generated");
  text += line("kept", kept + " per KV head" + (alike ? " in each of " + std::to_string(held.size()) + " layers" : ", layer by layer"));
  text += line("cache", human_bytes(static_cast<double>(memory.cache())) + " allocated, of which " +
                            human_bytes(static_cast<double>(memory.bookkeeping)) + " bookkeeping; " +
                            fixed(100 * static_cast<double>(memory.cache()) / static_cast<double>(full_bytes), 1) +
                            " % of a full cache (" + human_bytes(static_cast<double>(full_bytes)) + ")");
  text += line("saved", in_words(saved) + ", of what a full cache holds" + (unquantised_bits(storage) != component_bits(storage) ? " in 16 bits" : ""));
  text += line("speed", (step_seconds.empty() ? "" : fixed(tokens_per_second(), 0) + " tokens/s generating, ") +
                            fixed(static_cast<double>(prompt_tokens) / prompt_seconds, 0) + " tokens/s through the prompt");
  std::string quality = "perplexity " + fixed(std::exp(mean_nll()), 2) + " of the text it drew";
  if (full_mean_nll == full_mean_nll)
    quality += "; " + fixed(std::exp(full_mean_nll), 2) + " to a full cache, which had the same likeliest token in " +
               fixed(100 * same_likeliest, 1) + " % of the steps";
  text += line("quality", quality);
  if (words)
    text += line("readable", std::to_string(words->readable) + " of " + std::to_string(words->chunks) + " runs of ten words (" + fixed(100 * words->share(), 1) + " %)");
  return text;
}

// Every figure of the summary, and what it was made from: one line.
inline std::string generation_report::json(std::string const& text) const {
  return json_line({{"text", text},
                    {"tokens", tokens},
                    {"prompt_tokens", prompt_tokens},
                    {"nll", nll},
                    {"policy", policy},
                    {"budget", bounded ? json_value(slots) : nullptr},
                    {"positions", name_of(stand)},
                    {"storage", storage},
                    {"layout", layout},
                    {"seen", seen},
                    {"held", held},
                    {"bytes", json_object({{"cache", memory.cache()},
                                           {"bookkeeping", memory.bookkeeping},
                                           {"workspace", memory.workspace},
                                           {"full", full_bytes}})},
                    {"compression", saved.vectors},
                    {"compression_with_bookkeeping", saved.with_bookkeeping},
                    {"perplexity", std::exp(mean_nll())},
                    {"perplexity_full", std::exp(full_mean_nll)},
                    {"same_likeliest", same_likeliest},
                    {"chunks", words ? json_value(words->chunks) : nullptr},
                    {"readable_chunks", words ? json_value(words->readable) : nullptr},
                    {"prompt_seconds", prompt_seconds},
                    {"step_seconds", step_seconds}});
}

inline std::string draw_map(retention_record const& record, generation_report const& r) {
  std::string const title = "What " + r.policy + (r.bounded ? " kept with " + std::to_string(r.slots) + " slots per KV head" : " kept");
  return draw(record, title, static_cast<long long>(r.prompt_tokens));
}

}  // namespace programs
