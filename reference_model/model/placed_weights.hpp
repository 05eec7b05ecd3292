#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <kvsift/cache/memory.hpp>
#include <kvsift/core/half.hpp>
#include <reference_model/model/buffer.hpp>
#include <reference_model/model/matrix.hpp>
#include <reference_model/model/weights.hpp>

namespace reference_model {

/// The weights of a layer where an executor reaches them.
using placed_layer = basic_layer_weights<weight_view>;

/// The narrowest of fp32, bf16 and fp16 that holds every number exactly: of weights that were stored in 16 bits, what they were stored as.
inline number narrowest(floats const& f) {
  auto const all = [&](auto narrow) {
    return std::all_of(f.data(), f.data() + f.size(), [&](float x) {
      kvsift::from_float(x, narrow);
      return kvsift::to_float(narrow) == x;
    });
  };
  return all(kvsift::bf16{}) ? number::bf16 : all(kvsift::fp16{}) ? number::fp16 : number::fp32;
}

/// A model's weights in a memory: in the host's they are the model's own; in another they are copies, matrices as narrow as loses nothing.
template <kvsift::cache_memory Memory>
class placed_weights {
 public:
  /// The model must outlive this, if it is read in place.
  placed_weights(model const& m, Memory const& memory) : memory_(memory) {
    embedding = matrix(m.embedding);
    position_embedding = vector(m.position_embedding);
    for (layer_weights const& from : m.layers) {
      placed_layer to;
      for (std::size_t i = 0; i < layer_weights::all().size(); ++i) {
        floats const& weights = from.*layer_weights::all()[i];
        bool const multiplies = layer_weights::is_matrix(i);
        to.*placed_layer::all()[i] = multiplies ? matrix(weights) : vector(weights);
      }
      layers.push_back(to);
    }
    final_norm = vector(m.final_norm);
    final_norm_bias = vector(m.final_norm_bias);
    unembedding = m.config.tied ? embedding : matrix(m.unembedding);
  }

  weight_view embedding;           ///< [vocab, dim]
  weight_view position_embedding;  ///< [max_positions, dim]
  std::vector<placed_layer> layers;
  weight_view final_norm, final_norm_bias;  ///< [dim]
  weight_view unembedding;                  ///< [vocab, dim], the embedding if tied

  /// Whether some matrix is stored in 16 bits.
  bool narrow() const { return narrow_; }

 private:
  weight_view vector(floats const& from) { return place(from, number::fp32); }
  weight_view matrix(floats const& from) {
    if (kvsift::is_host_memory<Memory> || from.empty()) return vector(from);
    number const as = narrowest(from);
    narrow_ = narrow_ || as != number::fp32;
    return place(from, as);
  }

  weight_view place(floats const& from, number as) {
    if (from.empty()) return {};
    if constexpr (kvsift::is_host_memory<Memory>) {
      return {from.data(), from.size(), as};
    } else {
      copies_.emplace_back(memory_, from.size() * bytes_of(as));
      std::byte* const to = copies_.back().data();
      with_number(as, [&]<class T>(T) {
        kvsift::write_array(memory_, reinterpret_cast<T*>(to), from.size(), [&](T* numbers) {
          for (std::size_t i = 0; i < from.size(); ++i) kvsift::from_float(from.data()[i], numbers[i]);
        });
      });
      return {to, from.size(), as};
    }
  }

  Memory memory_;
  std::vector<buffer<std::byte, Memory>> copies_;
  bool narrow_ = false;
};

}  // namespace reference_model
