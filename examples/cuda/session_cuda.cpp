// Sessions on a GPU: tokens decoded one by one are one captured graph.
#include <cstddef>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

#include <common/errors.hpp>
#include <common/session_engine.hpp>
#include <common/trace_recorder.hpp>
#include <cuda/cuda_session_cache.hpp>
#include <cuda/own_stream.hpp>
#include <kvsift/cuda/graph.hpp>
#include <kvsift/cuda/memory.hpp>
#include <kvsift/payload/plain.hpp>

namespace programs {

void require_cuda() {
  int count = 0;
  cudaError_t const status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return;
  (void)cudaGetLastError();
  throw usage_error("--executor is cuda; no GPU is there (" + std::string(status == cudaSuccess ? "none is counted" : cudaGetErrorString(status)) +
                    "), give serial, parallel or parallel:N");
}

namespace {

using reference_model::on_stream;

constexpr std::uint32_t threads = 128;  // of a block

std::unique_ptr<cuda_session_cache> make_cache(on_stream on, reference_model::config const& c, policy_choice const& choice, session_options const& o) {
  auto const stored = [&]<class Payload>(Payload) {
    return o.in_pages ? make_cuda_session_cache<Payload, kvsift::in_pages>(on, c, choice, o)
                      : make_cuda_session_cache<Payload, kvsift::in_rows>(on, c, choice, o);
  };
  if (choice.storage == "fp32") return stored(kvsift::fp32_payload{});
  if (choice.storage == "fp16") return stored(kvsift::fp16_payload{});
  if (choice.storage == "bf16") return stored(kvsift::bf16_payload{});
  if (choice.storage == "fp8") return stored(kvsift::fp8_payload{});
  throw usage_error("storage is " + choice.storage + "; on a GPU the programs have fp32, fp16, bf16 and fp8, give one of them or leave --executor cuda out");
}

class cuda_engine final : public session_engine, public reference_model::stream_cache {
 public:
  cuda_engine(reference_model::model const& m, policy_choice const& choice, session_options const& o, trace_recorder* recorder)
      : config_(m.config),
        memory_(stream_.value),
        decoder_(on(), m, o.longest_piece, logits_for(o)),
        cache_(make_cache(on(), m.config, choice, o)),
        recorder_(recorder),
        every_(logits_for(o) == reference_model::logits_of::every_token),
        logits_(std::size_t{every_ ? o.longest_piece : 1} * m.config.vocab),
        kinds_(memory_.allocate(o.longest_piece)) {}

  session_cache& cache() override { return *cache_; }

  float const* forward(std::uint32_t const* tokens, std::uint32_t const* positions, std::uint8_t const* kinds, std::uint32_t n) override {
    decoder_.take(tokens, positions, n);
    with_kinds_ = kinds != nullptr;
    if (with_kinds_) memory_.copy_in(kinds_.data(), kinds, n);
    float const* const there = n == 1 && recorder_ == nullptr ? replay() : decoder_.run(*this, n);
    memory_.copy_out(logits_.data(), there, (every_ ? n : 1) * std::size_t{config_.vocab} * sizeof(float));
    return logits_.data();
  }
  void make_room(std::uint32_t tokens) override { cache_->make_room(on(), tokens); }

  // What the transformer is given as its cache: arrivals are told their kinds, and shown to a recorder if there is one.
  kvsift::keys_are keys_are() const override { return cache_->keys_are(); }
  void step(on_stream where, std::uint32_t layer, kvsift::arrivals const& given, float* out) override {
    kvsift::arrivals piece = given;
    if (with_kinds_) piece.kinds = reinterpret_cast<std::uint8_t const*>(kinds_.data());
    if (recorder_ != nullptr && recorder_->layer() == layer) record(piece);
    cache_->step(where, layer, piece, out);
  }
  void evict(on_stream where) override { cache_->evict(where); }

 private:
  on_stream on() const { return {stream_.value, threads}; }

  // The step of one token, captured the first time.
  float const* replay() {
    if (one_token_ == nullptr) {
      float const* logits = nullptr;
      step_ = kvsift::cuda::graph::capture(stream_.value, [&] { logits = decoder_.run(*this, 1); });
      one_token_ = logits;
    } else {
      cache_->count_replayed();
    }
    step_.launch(stream_.value);
    return one_token_;
  }

  void record(kvsift::arrivals piece) const {
    auto const here = [&](float const* from, std::uint32_t heads) {
      std::vector<float> copy(std::size_t{piece.tokens} * heads * config_.head_dim);
      memory_.copy_out(copy.data(), from, copy.size() * sizeof(float));
      return copy;
    };
    std::vector<float> const queries = here(piece.queries, config_.heads), keys = here(piece.keys, config_.kv_heads),
                             values = here(piece.values, config_.kv_heads);
    piece.queries = queries.data();
    piece.keys = keys.data();
    piece.values = values.data();
    recorder_->saw(piece);
  }

  reference_model::config const& config_;
  own_stream stream_;
  kvsift::cuda::memory<> memory_;
  reference_model::cuda_transformer decoder_;
  std::unique_ptr<cuda_session_cache> cache_;
  trace_recorder* recorder_;
  bool every_;                                 // logits are of every token
  std::vector<float> logits_;                  // [1 or longest piece, vocab]
  kvsift::cuda::memory<>::block kinds_;        // [longest piece], of the piece that is being fed
  bool with_kinds_ = false;
  kvsift::cuda::graph step_;
  float const* one_token_ = nullptr;           // where a captured step leaves its logits
};

}  // namespace

std::unique_ptr<session_engine> make_cuda_engine(reference_model::model const& m, policy_choice const& choice, session_options const& o,
                                                 trace_recorder* recorder) {
  return std::make_unique<cuda_engine>(m, choice, o, recorder);
}

}  // namespace programs
