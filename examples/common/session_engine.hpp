#pragma once
// How a session runs, whatever its cache is made of. Only session*.cpp include this.
#include <cstdint>
#include <memory>
#include <span>

#include <common/allocator.hpp>
#include <common/session.hpp>
#include <common/storage.hpp>
#include <common/trace_recorder.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/position/in_cache.hpp>
#include <kvsift/position/original.hpp>
#include <reference_model/model/transformer.hpp>

namespace programs {

// What is behind a session, whatever its cache is made of.
class session::engine {
 public:
  virtual ~engine() = default;
  virtual float const* forward(std::uint32_t const* tokens, std::uint32_t const* positions, std::uint8_t const* kinds,
                               std::uint32_t n) = 0;
  virtual std::span<std::uint32_t const> held(std::uint32_t layer, std::uint32_t head) const = 0;
  virtual session_memory memory() const = 0;
  virtual void clear() = 0;
  virtual kvsift::cache_image image() const = 0;
  virtual void restore(kvsift::cache_image const& image) = 0;
  virtual void make_room(std::uint32_t tokens) = 0;
};

// A cache whose arrivals are told their kinds and shown to a recorder, if there is one. The transformer calls its step and evict.
template <class Cache>
struct watched_cache {
  Cache cache;
  trace_recorder* recorder;
  std::uint8_t const* kinds = nullptr;  // of the piece that is being fed

  struct layer_ref {
    watched_cache& all;
    std::uint32_t layer;
  };
  static constexpr kvsift::keys_are keys_are() { return Cache::keys_are(); }
  layer_ref layer(std::uint32_t l) { return {*this, l}; }

  template <class Executor>
  friend void step(Executor const& on, layer_ref at, kvsift::arrivals piece, float* out) {
    piece.kinds = at.all.kinds;
    if (at.all.recorder != nullptr && at.all.recorder->layer() == at.layer) at.all.recorder->saw(piece);
    kvsift::step(on, at.all.cache.layer(at.layer), piece, out);
  }
  template <class Executor>
  friend void evict(Executor const& on, watched_cache& all) {
    kvsift::evict(on, all.cache);
  }
};

inline kvsift::cache_shape shape_of(reference_model::config const& c) {
  return {.layers = c.layers, .kv_heads = c.kv_heads, .group = c.group(), .head_dim = c.head_dim, .sequences = 1};
}

template <class Payload, class Position>
class engine_of final : public session::engine {
 public:
  engine_of(reference_model::model const& model, policy_choice const& choice, session_options const& o,
            trace_recorder* recorder, Position position)
      : on_(threads_of(o.executor)),
        decoder_(model, o.longest_piece,
                 o.every_logits ? reference_model::logits_of::every_token : reference_model::logits_of::last_token),
        watched_{cache_type(shape_of(model.config), allocated(choice.made, choice.allocator, shape_of(model.config)).value,
                            {.capacity = o.capacity, .max_piece = o.longest_piece}, position),
                 recorder} {}

  float const* forward(std::uint32_t const* tokens, std::uint32_t const* positions, std::uint8_t const* kinds, std::uint32_t n) override {
    watched_.kinds = kinds;
    return decoder_.forward(on_, watched_, tokens, positions, n);
  }
  std::span<std::uint32_t const> held(std::uint32_t layer, std::uint32_t head) const override {
    auto const& view = watched_.cache.view();
    auto const row = view.row(view.shape.row(layer, 0, head));
    return {row.positions.data(), row.state->held};
  }
  session_memory memory() const override {
    kvsift::cache_bytes const& bytes = watched_.cache.bytes();
    return {bytes.vectors, bytes.bookkeeping(), watched_.cache.workspace_bytes()};
  }
  void clear() override { watched_.cache.clear(); }
  kvsift::cache_image image() const override { return kvsift::image_of(watched_.cache); }
  void restore(kvsift::cache_image const& image) override { kvsift::restore(watched_.cache, image); }
  void make_room(std::uint32_t tokens) override { kvsift::make_room(on_, watched_.cache, tokens); }

 private:
  using cache_type = kvsift::kv_tensor<kvsift::any_policy, Payload, Position>;
  kvsift::parallel_executor on_;  // with one thread it runs on the calling thread, as serial_executor does
  reference_model::transformer decoder_;
  watched_cache<cache_type> watched_;
};

// The engine whose cache stores K and V as Payload. Heavy to compile: fp32 in session.cpp, the others in session_halves.cpp and
// session_quantised.cpp.
template <class Payload>
std::unique_ptr<session::engine> make_engine(reference_model::model const& m, policy_choice const& choice,
                                             session_options const& o, trace_recorder* recorder) {
  if (!o.in_cache) {
    return std::make_unique<engine_of<Payload, kvsift::original_positions>>(m, choice, o, recorder, kvsift::original_positions{});
  }
  kvsift::in_cache_positions const by_rank{.theta = m.config.rope_theta, .pairs = m.config.pairs};
  return std::make_unique<engine_of<Payload, kvsift::in_cache_positions>>(m, choice, o, recorder, by_rank);
}

extern template std::unique_ptr<session::engine> make_engine<kvsift::fp16_payload>(reference_model::model const&, policy_choice const&,
                                                                                  session_options const&, trace_recorder*);
extern template std::unique_ptr<session::engine> make_engine<kvsift::bf16_payload>(reference_model::model const&, policy_choice const&,
                                                                                  session_options const&, trace_recorder*);
extern template std::unique_ptr<session::engine> make_engine<kvsift::int8_payload>(reference_model::model const&, policy_choice const&,
                                                                                  session_options const&, trace_recorder*);
extern template std::unique_ptr<session::engine> make_engine<kvsift::int4_payload>(reference_model::model const&, policy_choice const&,
                                                                                  session_options const&, trace_recorder*);
extern template std::unique_ptr<session::engine> make_engine<kvsift::int2_payload>(reference_model::model const&, policy_choice const&,
                                                                                  session_options const&, trace_recorder*);

}  // namespace programs
