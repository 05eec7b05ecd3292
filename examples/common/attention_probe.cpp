#include <common/attention_probe.hpp>

#include <common/watched_cache.hpp>
#include <kvsift/exec/executor.hpp>
#include <reference_model/model/transformer.hpp>

namespace programs {

full_attention attend_fully(loaded_model const& m, probe_text const& text) {
  reference_model::config const& c = m.config();
  kvsift::serial_executor const on;
  reference_model::transformer decoder(m.model, static_cast<std::uint32_t>(text.prompt.size()));
  std::vector<std::uint32_t> positions(text.prompt.size() + text.answer.size());
  for (std::uint32_t i = 0; i < positions.size(); ++i) positions[i] = i;
  watched_cache cache(c);
  auto const prompt = static_cast<std::uint32_t>(text.prompt.size());
  decoder.forward(on, cache, text.prompt.data(), positions.data(), prompt);
  full_attention all;
  for (std::size_t t = 0; t < text.answer.size(); ++t) {
    decoder.forward(on, cache, &text.answer[t], positions.data() + prompt + t, 1);
    auto& step = all.steps.emplace_back();
    for (std::uint32_t l = 0; l < c.layers; ++l)
      for (std::uint32_t h = 0; h < c.heads; ++h) step.push_back(cache.attention(l, h));
  }
  return all;
}

double attention_probe::mean() const {
  double sum = 0;
  for (double const one : recovered) sum += one;
  return sum / static_cast<double>(recovered.size());
}

attention_probe probe_attention(loaded_model const& m, policy_choice const& choice, position_plan const& plan,
                                probe_text const& text, full_attention const& full, std::size_t tokens,
                                std::string const& executor) {
  reference_model::config const& c = m.config();
  session run(m.model, choice, session_of(plan, choice, m, executor, tokens));
  feed_prompt(run, text.prompt, plan);
  // A rule that acts after attention lets the query see what is held before; one that makes room, what is held after.
  bool const after = (choice.made.value.facts().moments & kvsift::moment::after_attention) != kvsift::moment{};
  attention_probe found;
  found.recovered.assign(c.layers, 0.0);
  found.steps = text.answer.size();
  auto const add = [&](std::size_t t) {
    for (std::uint32_t l = 0; l < c.layers; ++l)
      for (std::uint32_t kv = 0; kv < c.kv_heads; ++kv) {
        auto const held = run.held(l, kv);
        for (std::uint32_t h = kv * c.group(); h < (kv + 1) * c.group(); ++h) {
          std::vector<float> const& weights = full.steps[t][std::size_t{l} * c.heads + h];
          double sum = after ? static_cast<double>(weights.back()) : 0.0;
          for (std::uint32_t const position : held)
            if (position < weights.size()) sum += static_cast<double>(weights[position]);
          found.recovered[l] += sum;
        }
      }
  };
  for (std::size_t t = 0; t < text.answer.size(); ++t) {
    if (after) add(t);
    run.feed(text.answer[t]);
    if (!after) add(t);
  }
  for (double& one : found.recovered) one /= static_cast<double>(found.steps) * c.heads;

  std::size_t const seen = run.seen();
  std::vector<double> there(probe_bins, 0.0);
  for (std::size_t p = 0; p < seen; ++p) there[p * probe_bins / seen] += c.kv_heads;
  found.kept.assign(c.layers, std::vector<double>(probe_bins, 0.0));
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    for (std::uint32_t kv = 0; kv < c.kv_heads; ++kv)
      for (std::uint32_t const p : run.held(l, kv))
        if (p < seen) found.kept[l][p * probe_bins / seen] += 1;
    for (std::size_t b = 0; b < probe_bins; ++b)
      if (there[b] > 0) found.kept[l][b] /= there[b];
  }
  return found;
}

}  // namespace programs
