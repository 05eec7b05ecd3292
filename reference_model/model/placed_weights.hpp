#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <kvsift/cache/memory.hpp>
#include <kvsift/core/half.hpp>
#include <reference_model/model/buffer.hpp>
#include <reference_model/model/matrix.hpp>
#include <reference_model/model/weights.hpp>

namespace reference_model {

/// The weights of a layer where an executor reaches them.
using placed_layer = basic_layer_weights<weight_view>;

/// A model's weights in a memory: in the host's they are the model's own; in another they are copies, matrices in 16 bits where that
/// holds every number of them exactly, as it does what was stored so.
template <kvsift::cache_memory Memory>
class placed_weights {
 public:
  /// The model must outlive this, if it is read in place.
  placed_weights(model const& m, Memory const& memory) : memory_(memory) {
    embedding = place(m.embedding);
    position_embedding = place(m.position_embedding);
    for (layer_weights const& from : m.layers) {
      placed_layer to;
      for (std::size_t i = 0; i < layer_weights::all().size(); ++i) to.*placed_layer::all()[i] = place(from.*layer_weights::all()[i]);
      layers.push_back(to);
    }
    final_norm = place(m.final_norm);
    final_norm_bias = place(m.final_norm_bias);
    unembedding = m.config.tied ? embedding : place(m.unembedding);
    copies_.shrink_to_fit();
  }

  weight_view embedding;           ///< [vocab, dim]
  weight_view position_embedding;  ///< [max_positions, dim]
  std::vector<placed_layer> layers;
  weight_view final_norm, final_norm_bias;  ///< [dim]
  weight_view unembedding;                  ///< [vocab, dim], the embedding if tied

 private:
  weight_view place(floats const& from) {
    if (from.empty()) return {};
    if constexpr (kvsift::is_host_memory<Memory>) {
      return {from.data(), from.size()};
    } else {
      copies_.emplace_back(memory_, from.size());
      memory_.copy_in(reinterpret_cast<std::byte*>(copies_.back().data()), from.data(), from.size() * sizeof(float));
      return {copies_.back().data(), from.size()};
    }
  }

  Memory memory_;
  std::vector<buffer<float, Memory>> copies_;
};

}  // namespace reference_model
