#include <common/session.hpp>

#include <numeric>

#include <common/errors.hpp>
#include <common/session_engine.hpp>
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

session::session(reference_model::model const& model, policy_choice const& choice, session_options const& options,
                 trace_recorder* recorder)
    : positions_(options.longest_piece) {
  if (options.text != nullptr && choice.made.value.columns().get<kvsift::token_class>().width() != 0) {
    kinds_of_ = reference_model::token_kinds(*options.text);
    kinds_.resize(options.longest_piece);
  }
  with_storage(choice.storage, [&]<class Payload>(Payload) { engine_ = make_engine<Payload>(model, choice, options, recorder); });
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
  engine_->clear();
  seen_ = 0;
}

session::state session::save() const { return {engine_->image(), seen_}; }

void session::restore(state const& saved) {
  engine_->restore(saved.cache);
  seen_ = saved.seen;
}

void session::make_room(std::uint32_t tokens) { engine_->make_room(tokens); }

std::span<std::uint32_t const> session::held(std::uint32_t layer, std::uint32_t head) const {
  return engine_->held(layer, head);
}

session_memory session::memory() const { return engine_->memory(); }

std::size_t full_cache_bytes(reference_model::config const& c, std::string const& storage, std::uint64_t tokens) {
  std::size_t const slot = 2 * vector_bytes(storage, c.head_dim) + sizeof(std::uint32_t);
  return slot * tokens * c.layers * c.kv_heads;
}

}  // namespace programs
