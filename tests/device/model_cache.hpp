#pragma once

#include <utility>

#include <device/verbs.hpp>
#include <reference_model/cuda/cuda_transformer.hpp>

namespace device {

/// A cache of the tests as a transformer on a stream is given it.
template <class Cache>
class model_cache final : public reference_model::stream_cache {
 public:
  explicit model_cache(Cache cache) : cache_(std::move(cache)) {}

  Cache& cache() { return cache_; }
  kvsift::keys_are keys_are() const override { return Cache::keys_are(); }
  void step(reference_model::on_stream on, std::uint32_t layer, kvsift::arrivals const& piece, float* out) override {
    verbs<Cache>::step({on.stream, on.threads}, cache_, layer, piece, out);
  }
  void evict(reference_model::on_stream on) override { verbs<Cache>::evict({on.stream, on.threads}, cache_); }

 private:
  Cache cache_;
};

}  // namespace device
