#include <common/session.hpp>

#include <algorithm>
#include <numeric>

#include <common/errors.hpp>
#include <common/session_engine.hpp>
#include <common/storage.hpp>
#include <common/table.hpp>
#include <reference_model/text/token_kinds.hpp>

namespace programs {

char const* name_of(standing stand) {
  switch (stand) {
    case standing::in_cache: return "in_cache";
    case standing::learned_align: return "learned_align";
    case standing::recompute: return "recompute";
    case standing::original: break;
  }
  return "original";
}

std::uint32_t threads_of(std::string const& executor) {
  if (executor == "serial") return 1;
  if (executor == "parallel") return 0;
  if (executor == "cuda") throw usage_error("--executor is cuda; this runs on the CPU alone, give serial, parallel or parallel:N");
  std::string const count = executor.rfind("parallel:", 0) == 0 ? executor.substr(9) : "";
  bool const digits = !count.empty() && count.size() <= 4 && count.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoul(count) < 1 || std::stoul(count) > 1024)
    throw usage_error("--executor is '" + executor + "'; give serial, parallel, parallel:N with 1 to 1024 threads, or cuda");
  return static_cast<std::uint32_t>(std::stoul(count));
}

void check_executor(std::string const& executor) {
  if (executor == "cuda") return require_cuda();
  threads_of(executor);
}

reference_model::logits_of logits_for(session_options const& o) {
  using reference_model::logits_of;
  return o.every_logits && o.stand != standing::recompute ? logits_of::every_token : logits_of::last_token;
}

namespace {

// What runs again for every token is a window of one more than the budget, under no policy.
policy_choice under(standing stand, policy_choice const& choice) {
  if (stand != standing::recompute) return choice;
  if (!choice.bounded()) throw usage_error("--positions is recompute; give a policy with a --budget, of which the window has one token more");
  policy_choice whole = choose_policy({});
  whole.storage = choice.storage;
  return whole;
}
session_options under(session_options o, policy_choice const& choice) {
  if (o.stand == standing::recompute) o.capacity = o.longest_piece = choice.slots() + 1;
  return o;
}

}  // namespace

session::session(reference_model::model const& model, policy_choice const& choice, session_options const& options,
                 trace_recorder* recorder)
    : engine_((options.executor == "cuda" ? make_cuda_engine : make_host_engine)(model, under(options.stand, choice), under(options, choice), recorder)),
      config_(&model.config),
      storage_(choice.storage),
      longest_(options.longest_piece),
      positions_(under(options, choice).longest_piece),
      stand_(options.stand) {
  bool const counted = stand_ == standing::recompute || stand_ == standing::learned_align || (renumbers() && model.config.learned_positions);
  if (counted && choice.bounded()) together_ = choice.slots() + 1;
  whole_first_ = stand_ == standing::in_cache && kvsift::includes(choice.made.value.facts().moments, kvsift::moment::prompt_end);
  if (stand_ == standing::recompute) {
    window_.reserve(together_);
    held_.reserve(together_);
  }
  if (counted && options.every_logits) logits_.resize(std::size_t{longest_} * model.config.vocab);
  if (options.text != nullptr && choice.made.value.columns().get<kvsift::token_class>().width() != 0) {
    kinds_of_ = reference_model::token_kinds(*options.text);
    kinds_.resize(options.longest_piece);
  }
}
session::~session() = default;
session::session(session&&) noexcept = default;

float const* session::feed(std::span<std::uint32_t const> tokens) {
  kvsift::require(tokens.size() <= longest_, "tokens of the piece", tokens.size(), "the session was made for shorter ones");
  auto const n = static_cast<std::uint32_t>(tokens.size());
  if (together_ == 0) return feed_piece(tokens.data(), n);
  float const* logits = nullptr;
  for (std::uint32_t t = 0, part = 0; t < n; t += part) {  // as many as have a number of their own, then one by one
    if (stand_ == standing::recompute) {
      part = 1;
      logits = feed_again(tokens[t]);
    } else {
      auto const there = engine_->cache().count();
      part = there == 0 && whole_first_ ? n : std::min(n - t, std::max(1u, there < together_ ? together_ - there : 1));
      logits = feed_piece(tokens.data() + t, part);
    }
    if (!logits_.empty()) std::copy_n(logits, std::size_t{part} * config_->vocab, logits_.data() + std::size_t{t} * config_->vocab);
  }
  return logits_.empty() ? logits : logits_.data();
}

float const* session::feed_piece(std::uint32_t const* tokens, std::uint32_t n) {
  std::uint32_t const first = renumbers() ? engine_->cache().count() : seen_;
  std::iota(positions_.begin(), positions_.end(), first);
  for (std::uint32_t i = 0; i < n && !kinds_.empty(); ++i) kinds_[i] = kinds_of_[tokens[i]];
  float const* const logits = engine_->forward(tokens, positions_.data(), kinds_.empty() ? nullptr : kinds_.data(), n);
  seen_ += n;
  return logits;
}

// The newest tokens, this one the last, from an empty cache.
float const* session::feed_again(std::uint32_t token) {
  if (window_.size() == together_) window_.erase(window_.begin());
  window_.push_back(token);
  engine_->cache().clear();
  std::iota(positions_.begin(), positions_.end(), 0u);
  float const* const logits = engine_->forward(window_.data(), positions_.data(), nullptr, static_cast<std::uint32_t>(window_.size()));
  ++seen_;
  return logits;
}

void session::clear() {
  engine_->cache().clear();
  window_.clear();
  seen_ = 0;
}

session::state session::save() const { return {engine_->cache().image(), seen_, window_}; }

void session::restore(state const& saved) {
  engine_->cache().restore(saved.cache);
  seen_ = saved.seen;
  window_ = saved.window;
}

void session::make_room(std::uint32_t tokens) { engine_->make_room(tokens); }

std::span<std::uint32_t const> session::held(std::uint32_t layer, std::uint32_t head) const {
  if (stand_ != standing::recompute) return engine_->cache().held(layer, head);
  held_.resize(window_.size());
  std::iota(held_.begin(), held_.end(), seen_ - static_cast<std::uint32_t>(window_.size()));
  return held_;
}

session_memory session::memory() const { return engine_->cache().memory(); }

compression session::saved() const {
  session_memory const m = memory();
  std::size_t held_slots = 0;
  for (std::uint32_t l = 0; l < config_->layers; ++l)
    for (std::uint32_t h = 0; h < config_->kv_heads; ++h) held_slots += held(l, h).size();
  double const held = static_cast<double>(held_slots);
  double const full = static_cast<double>(seen_) * config_->layers * config_->kv_heads;
  double const bits = component_bits(storage_), unquantised = unquantised_bits(storage_);
  double const slot = static_cast<double>(m.cache() - m.fixed) / static_cast<double>(m.slots);
  double const full_slot = 2 * config_->head_dim * unquantised / 8 + sizeof(std::uint32_t);
  return {1 - held * bits / (full * unquantised), 1 - (held * slot + static_cast<double>(m.fixed)) / (full * full_slot)};
}

std::string in_words(compression const& saved) {
  return fixed(100 * saved.vectors, 1) + " % of K and V, " + fixed(100 * saved.with_bookkeeping, 1) + " % with bookkeeping";
}

std::size_t full_cache_bytes(reference_model::config const& c, std::string const& storage, std::uint64_t tokens) {
  std::size_t const slot = 2 * vector_bytes(storage, c.head_dim) + sizeof(std::uint32_t);
  return slot * tokens * c.layers * c.kv_heads;
}

}  // namespace programs
