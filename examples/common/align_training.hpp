#pragma once
// How KV-Align's networks are trained: what a vector was at one position, and what it would have been one below with a token less.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/position/learned_align.hpp>
#include <reference_model/io/write_safetensors.hpp>
#include <reference_model/model/weights.hpp>

namespace programs {

// Vectors of one kind, keys or values, with what they should become.
struct align_pairs {
  std::uint32_t dim = 0;
  std::vector<float> from, to;                       // [size, dim]
  std::vector<std::uint16_t> position, layer, head;  // [size]
  std::size_t size() const { return position.size(); }
};

// Adds the pairs of one window: tokens 0 .. n - 1 run through the model, and again without token `sinks`. Slot sinks + 1 + j of the first
// becomes slot sinks + j of the second. `keys` and `values` get layers x KV heads x (n - sinks - 1) pairs each.
void add_pairs(kvsift::parallel_executor const& on, reference_model::model const& m, std::span<std::uint32_t const> window, std::uint32_t sinks,
               align_pairs& keys, align_pairs& values);

struct align_sizes {
  std::uint32_t dim = 0, layers = 0, heads = 0, positions = 0;  // of the model and its windows
  std::uint32_t wide = 128, narrow = 128;                       // units of the two hidden layers
  std::uint32_t of_position = 32, of_layer = 4, of_head = 8;    // widths of the embeddings
  std::uint32_t sinks = 4;                                      // that stand before the positions
  std::uint32_t inputs() const { return dim + of_position + of_layer + of_head; }
};

// f(x) = x + W3 relu(W2 relu(W1 [x; of_position; of_layer; of_head] + b1) + b2) + b3, trained by AdamW (betas 0.9 and 0.999, decay 0.01) on
// the mean squared error, gradients no longer than 1.
class align_trainer {
 public:
  align_trainer(align_sizes const& sizes, std::uint64_t seed);

  // One step on the pairs of these numbers; the error before it.
  double step(kvsift::parallel_executor const& on, align_pairs const& pairs, std::span<std::uint32_t const> chosen, double learning_rate);
  // The mean squared error over all pairs.
  double error(kvsift::parallel_executor const& on, align_pairs const& pairs);
  std::uint64_t steps() const { return steps_; }

  // The network as it is by now, ready for a cache.
  kvsift::align_network network() const;
  // The same as a file, as load_align_network reads it. Throws bad_file.
  void write(std::filesystem::path const& path) const;
  // Both networks with the state of their training, in one file, and back: one is never a step ahead of the other. Throw bad_file.
  static void write_state(std::filesystem::path const& path, align_trainer const& keys, align_trainer const& values);
  static void resume(std::filesystem::path const& path, align_trainer& keys, align_trainer& values);

  // For tests: the gradient of the last step, before it was shortened, and the parameters, laid out alike.
  std::vector<float> const& gradient() const { return gradient_; }
  std::vector<float>& parameters() { return parameters_; }

 private:
  struct tensor {
    char const* name;
    std::uint64_t rows, columns;  // columns 0: a vector
    std::size_t begin;
    std::size_t size() const { return rows * (columns == 0 ? 1 : columns); }
  };
  enum part { of_position, of_layer, of_head, w1, b1, w2, b2, w3, b3 };
  void add_tensors(std::vector<reference_model::tensor_to_write>& to, std::string const& prefix, std::vector<float> const& numbers) const;
  void write(std::filesystem::path const& path, std::vector<reference_model::tensor_to_write> const& tensors) const;
  kvsift::span<float const> tensor_of(part p) const { return {parameters_.data() + tensors_[p].begin, tensors_[p].size()}; }
  float* at(part p) { return parameters_.data() + tensors_[p].begin; }
  float* change(part p) { return gradient_.data() + tensors_[p].begin; }
  double forward(kvsift::parallel_executor const& on, align_pairs const& pairs, std::span<std::uint32_t const> chosen);
  void backward(kvsift::parallel_executor const& on, align_pairs const& pairs, std::span<std::uint32_t const> chosen);

  align_sizes sizes_;
  std::vector<tensor> tensors_;
  std::vector<float> parameters_, gradient_, first_moment_, second_moment_;
  std::uint64_t steps_ = 0;
  std::vector<float> inputs_, wide_, narrow_, wrong_;  // of a batch: [n, inputs], [n, wide], [n, narrow], [n, dim] what is wrong
  std::vector<float> narrow_change_, wide_change_, input_change_, packed_, turned_, turned_too_;
};

}  // namespace programs
