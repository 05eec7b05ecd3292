// Sessions on the CPU.
#include <common/session_engine.hpp>
#include <common/trace_recorder.hpp>
#include <reference_model/model/transformer.hpp>

namespace programs {

namespace {

// What the transformer is given as its cache: arrivals are told their kinds, and shown to a recorder if there is one.
class host_engine final : public session_engine {
 public:
  host_engine(reference_model::model const& m, policy_choice const& choice, session_options const& o, trace_recorder* recorder)
      : on_(threads_of(o.executor)), decoder_(m, o.longest_piece, logits_for(o)), recorder_(recorder), cache_(make_session_cache(m.config, choice, o)) {}

  session_cache& cache() override { return *cache_; }
  float const* forward(std::uint32_t const* tokens, std::uint32_t const* positions, std::uint8_t const* kinds, std::uint32_t n) override {
    kinds_ = kinds;
    return decoder_.forward(on_, *this, tokens, positions, n);
  }
  void make_room(std::uint32_t tokens) override { cache_->make_room(on_, tokens); }

  struct layer_ref {
    host_engine& all;
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
  friend void evict(kvsift::parallel_executor const& on, host_engine& all) { all.cache_->evict(on); }

 private:
  kvsift::parallel_executor on_;  // with one thread it runs on the calling thread, as serial_executor does
  reference_model::transformer decoder_;
  trace_recorder* recorder_;
  std::unique_ptr<host_session_cache> cache_;
  std::uint8_t const* kinds_ = nullptr;  // of the piece that is being fed
};

}  // namespace

std::unique_ptr<session_engine> make_host_engine(reference_model::model const& m, policy_choice const& choice, session_options const& o,
                                                 trace_recorder* recorder) {
  return std::make_unique<host_engine>(m, choice, o, recorder);
}

}  // namespace programs
