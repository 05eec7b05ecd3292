#include <common/session.hpp>

#include <numeric>

#include <common/errors.hpp>
#include <common/session_cache.hpp>
#include <common/storage.hpp>
#include <common/table.hpp>
#include <common/trace_recorder.hpp>
#include <reference_model/model/transformer.hpp>
#include <reference_model/text/token_kinds.hpp>

namespace programs {

std::uint32_t threads_of(std::string const& executor) {
  if (executor == "serial") return 1;
  if (executor == "parallel") return 0;
  if (executor == "cuda")
    throw usage_error("--executor is cuda; this build has no CUDA executor, use serial, parallel or parallel:N");
  std::string const count = executor.rfind("parallel:", 0) == 0 ? executor.substr(9) : "";
  bool const digits = !count.empty() && count.size() <= 4 && count.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoul(count) < 1 || std::stoul(count) > 1024)
    throw usage_error("--executor is '" + executor + "'; give serial, parallel, or parallel:N with 1 to 1024 threads");
  return static_cast<std::uint32_t>(std::stoul(count));
}

// What the transformer is given as its cache: arrivals are told their kinds, and shown to a recorder if there is one.
class session::engine {
 public:
  engine(reference_model::model const& model, policy_choice const& choice, session_options const& o, trace_recorder* recorder)
      : on_(threads_of(o.executor)),
        decoder_(model, o.longest_piece,
                 o.every_logits ? reference_model::logits_of::every_token : reference_model::logits_of::last_token),
        recorder_(recorder),
        cache_(make_session_cache(model.config, choice, o)) {}

  session_cache& cache() const { return *cache_; }
  // kinds [n], or null.
  float const* forward(std::uint32_t const* tokens, std::uint32_t const* positions, std::uint8_t const* kinds, std::uint32_t n) {
    kinds_ = kinds;
    return decoder_.forward(on_, *this, tokens, positions, n);
  }
  void make_room(std::uint32_t tokens) { cache_->make_room(on_, tokens); }

  struct layer_ref {
    engine& all;
    std::uint32_t layer;
  };
  kvsift::keys_are keys_are() const { return cache_->keys_are(); }
  layer_ref layer(std::uint32_t l) { return {*this, l}; }
  friend void step(kvsift::parallel_executor const& on, layer_ref at, kvsift::arrivals piece, float* out) {
    piece.kinds = at.all.kinds_;
    trace_recorder* const recorder = at.all.recorder_;
    if (recorder != nullptr && recorder->layer() == at.layer) recorder->saw(piece);
    at.all.cache_->step(on, at.layer, piece, out);
  }
  friend void evict(kvsift::parallel_executor const& on, engine& all) { all.cache_->evict(on); }

 private:
  kvsift::parallel_executor on_;  // with one thread it runs on the calling thread, as serial_executor does
  reference_model::transformer decoder_;
  trace_recorder* recorder_;
  std::unique_ptr<session_cache> cache_;
  std::uint8_t const* kinds_ = nullptr;  // of the piece that is being fed
};

session::session(reference_model::model const& model, policy_choice const& choice, session_options const& options,
                 trace_recorder* recorder)
    : engine_(std::make_unique<engine>(model, choice, options, recorder)), config_(&model.config), storage_(choice.storage), positions_(options.longest_piece) {
  if (options.text != nullptr && choice.made.value.columns().get<kvsift::token_class>().width() != 0) {
    kinds_of_ = reference_model::token_kinds(*options.text);
    kinds_.resize(options.longest_piece);
  }
}
session::~session() = default;
session::session(session&&) noexcept = default;

float const* session::feed(std::span<std::uint32_t const> tokens) {
  kvsift::require(tokens.size() <= positions_.size(), "tokens of the piece", tokens.size(), "the session was made for shorter ones");
  std::iota(positions_.begin(), positions_.end(), seen_);
  auto const n = static_cast<std::uint32_t>(tokens.size());
  for (std::uint32_t i = 0; i < n && !kinds_.empty(); ++i) kinds_[i] = kinds_of_[tokens[i]];
  float const* const logits = engine_->forward(tokens.data(), positions_.data(), kinds_.empty() ? nullptr : kinds_.data(), n);
  seen_ += n;
  return logits;
}

void session::clear() {
  engine_->cache().clear();
  seen_ = 0;
}

session::state session::save() const { return {engine_->cache().image(), seen_}; }

void session::restore(state const& saved) {
  engine_->cache().restore(saved.cache);
  seen_ = saved.seen;
}

void session::make_room(std::uint32_t tokens) { engine_->make_room(tokens); }

std::span<std::uint32_t const> session::held(std::uint32_t layer, std::uint32_t head) const {
  return engine_->cache().held(layer, head);
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
