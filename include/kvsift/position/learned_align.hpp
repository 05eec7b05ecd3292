#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <kvsift/cache/memory.hpp>
#include <kvsift/cache/storage.hpp>
#include <kvsift/collective/product.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/core/check.hpp>
#include <kvsift/core/span.hpp>
#include <kvsift/exec/executor.hpp>
#include <kvsift/position/concepts.hpp>

namespace kvsift {

/// A network of KV-Align as a task sees it: what a vector x of one head becomes when its rank comes down to sinks + p.
///
///   f(x) = x + W3 relu(W2 relu(W1 x + by_position[p] + by_head[head]) + bias2) + bias3
struct align_view {
  float const* first = nullptr;        ///< W1 [wide, head_dim], packed; W2, W3 alike
  float const* second = nullptr;       ///< [narrow, wide]
  float const* third = nullptr;        ///< [head_dim, narrow]
  float const* by_position = nullptr;  ///< [positions, wide]
  float const* by_head = nullptr;      ///< [layers x kv_heads, wide], bias of the first layer included
  float const* bias2 = nullptr;        ///< [narrow]
  float const* bias3 = nullptr;        ///< [head_dim]
  std::uint32_t wide = 0, narrow = 0, positions = 0;
};

/// The tensors of such a network as they are trained: z = [x; of_position[p]; of_layer[layer]; of_head[head]] goes through three
/// linear layers, y = W z + b, with relu between them. Matrices [out, in], rows contiguous; embeddings [rows, width].
struct align_tensors {
  span<float const> of_position, of_layer, of_head;
  span<float const> weight1, bias1, weight2, bias2, weight3, bias3;
};

/// Owns a network, ready for tasks: what of the first layer depends on position, layer and head alone is multiplied beforehand.
class align_network {
 public:
  align_network() = default;
  /// `trained`: positions 0 .. trained - 1 have been trained. Throws bad_argument, naming the tensor, if sizes do not fit.
  align_network(align_tensors const& t, std::uint32_t head_dim, std::uint32_t layers, std::uint32_t kv_heads, std::uint32_t trained);

  align_view view() const {
    return {first_.data(),   second_.data(), third_.data(), by_position_.data(), by_head_.data(), bias2_.data(),
            bias3_.data(), wide_,          narrow_,       positions_};
  }
  std::uint32_t head_dim() const { return head_dim_; }
  std::uint32_t heads() const { return heads_; }
  /// Floats of all of it.
  std::size_t floats() const {
    std::size_t n = 0;
    for (auto const* part : parts()) n += part->size();
    return n;
  }
  /// Copies it to `to` [floats()] in the memory where a cache lies, for tasks over that cache.
  template <cache_memory Memory>
  align_view copied(Memory const& memory, float* to) const {
    float const* at[7] = {};
    std::size_t i = 0;
    for (auto const* part : parts()) {
      memory.copy_in(reinterpret_cast<std::byte*>(to), part->data(), part->size() * sizeof(float));
      at[i++] = to;
      to += part->size();
    }
    return {at[0], at[1], at[2], at[3], at[4], at[5], at[6], wide_, narrow_, positions_};
  }

 private:
  static std::vector<float> packed(span<float const> matrix, std::size_t rows, std::size_t columns, std::size_t pitch) {
    std::vector<float> p(packed_floats(rows, columns), 0.0f);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t d = 0; d < columns; ++d) p[packed_place(i, d, columns)] = matrix[i * pitch + d];
    return p;
  }

  std::array<std::vector<float> const*, 7> parts() const {
    return {&first_, &second_, &third_, &by_position_, &by_head_, &bias2_, &bias3_};  // as in align_view
  }

  std::vector<float> first_, second_, third_, by_position_, by_head_, bias2_, bias3_;
  std::uint32_t wide_ = 0, narrow_ = 0, positions_ = 0, head_dim_ = 0, heads_ = 0;
};

inline align_network::align_network(align_tensors const& t, std::uint32_t head_dim, std::uint32_t layers, std::uint32_t kv_heads,
                                    std::uint32_t trained)
    : wide_(static_cast<std::uint32_t>(t.bias1.size)), narrow_(static_cast<std::uint32_t>(t.bias2.size)), positions_(trained),
      head_dim_(head_dim), heads_(layers * kv_heads) {
  require(wide_ > 0 && wide_ <= 65536, "units of the first layer", wide_, "give 1 to 65536");
  require(narrow_ > 0 && narrow_ <= 65536, "units of the second layer", narrow_, "give 1 to 65536");
  require(head_dim > 0 && t.bias3.size == head_dim, "outputs of the third layer", t.bias3.size, "there must be one for each component of a vector");
  require(trained > 0, "trained positions", trained, "give at least one");
  require(layers > 0 && t.of_layer.size % layers == 0, "numbers of the layers' embedding", t.of_layer.size, "it must have a row for each layer of the model");
  require(kv_heads > 0 && t.of_head.size % kv_heads == 0, "numbers of the heads' embedding", t.of_head.size, "it must have a row for each KV head of the model");
  std::size_t const inputs = t.weight1.size / wide_, of_layer = t.of_layer.size / layers, of_head = t.of_head.size / kv_heads;
  require(t.weight1.size % wide_ == 0 && inputs > head_dim + of_layer + of_head, "numbers of the first matrix", t.weight1.size,
          "a row must hold the vector and the embeddings of position, layer and head");
  std::size_t const of_position = inputs - head_dim - of_layer - of_head;
  require(t.of_position.size % of_position == 0 && t.of_position.size / of_position >= trained, "numbers of the positions' embedding",
          t.of_position.size, "it must have a row for each trained position");
  require(t.weight2.size == std::size_t{narrow_} * wide_, "numbers of the second matrix", t.weight2.size, "it must be [second, first] units");
  require(t.weight3.size == std::size_t{head_dim} * narrow_, "numbers of the third matrix", t.weight3.size, "it must be [head_dim, second] units");
  first_ = packed(t.weight1, wide_, head_dim, inputs);
  second_ = packed(t.weight2, narrow_, wide_, wide_);
  third_ = packed(t.weight3, head_dim, narrow_, narrow_);
  bias2_.assign(t.bias2.data, t.bias2.data + t.bias2.size);
  bias3_.assign(t.bias3.data, t.bias3.data + t.bias3.size);
  auto const part = [&](std::size_t unit, std::size_t begin, float const* x, std::size_t n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(t.weight1[unit * inputs + begin + i]) * static_cast<double>(x[i]);
    return sum;
  };
  by_position_.reserve(std::size_t{trained} * wide_);
  for (std::size_t p = 0; p < trained; ++p)
    for (std::size_t u = 0; u < wide_; ++u)
      by_position_.push_back(static_cast<float>(part(u, head_dim, t.of_position.data + p * of_position, of_position)));
  for (std::size_t l = 0; l < layers; ++l)
    for (std::size_t h = 0; h < kv_heads; ++h)
      for (std::size_t u = 0; u < wide_; ++u)
        by_head_.push_back(static_cast<float>(part(u, head_dim + of_position, t.of_layer.data + l * of_layer, of_layer) +
                                              part(u, head_dim + of_position + of_layer, t.of_head.data + h * of_head, of_head) +
                                              static_cast<double>(t.bias1[u])));
}

namespace detail {

/// What a block of align_task works with. With a null base it only counts.
struct align_scratch {
  static constexpr std::uint32_t tile = 32;  ///< slots at a time

  float* vectors;        ///< [tile, head_dim]
  float* wide;           ///< [tile, wide]
  float* narrow;         ///< [tile, narrow]
  float* changes;        ///< [tile, head_dim]
  std::size_t bytes;

  KVSIFT_HOST_DEVICE static align_scratch carve(std::byte* base, std::size_t head_dim, std::size_t wide, std::size_t narrow) {
    carver memory{base};
    align_scratch s{};
    s.vectors = memory.take<float>(tile * head_dim);
    s.wide = memory.take<float>(tile * wide);
    s.narrow = memory.take<float>(tile * narrow);
    s.changes = memory.take<float>(tile * head_dim);
    s.bytes = memory.bytes;
    return s;
  }
};

}  // namespace detail

/// Realigns the slots of a row whose rank came down by one. One block per row.
template <class Bound>
struct align_task {
  Bound cache;
  align_view keys, values;
  std::uint32_t sinks;
  std::uint32_t first_layer;
  std::byte* workspace;
  std::size_t block_bytes;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, std::uint32_t block) const {
    std::uint32_t const index = cache.row_of(first_layer, block);
    auto const row = cache.planes.row(index);
    std::uint32_t const fell = cache.planes.fell[index];
    g.sync();
    if (fell == 0) return;  // the same for all threads
    std::uint32_t const head = row.layer * cache.planes.shape.kv_heads + row.head, from = fell - 1 > sinks ? fell - 1 : sinks;
    for (std::uint32_t begin = 0; begin < row.state->held; begin += detail::align_scratch::tile) {
      std::uint32_t const left = row.state->held - begin, n = left < detail::align_scratch::tile ? left : detail::align_scratch::tile;
      change(g, keys, row, row.keys, head, from, begin, n, workspace + index * block_bytes);
      change(g, values, row, row.values, head, from, begin, n, workspace + index * block_bytes);
    }
    g.sync();
    if (g.thread_rank() == 0) cache.planes.fell[index] = 0;
  }

 private:
  /// Slots begin .. begin + n - 1 of one plane, those that moved: of rank `from` or above.
  template <cooperative_group G, class Row, class Vectors>
  KVSIFT_HOST_DEVICE void change(G const& g, align_view const& net, Row const& row, Vectors const& plane, std::uint32_t head,
                                 std::uint32_t from, std::uint32_t begin, std::uint32_t n, std::byte* memory) const {
    std::uint32_t const dim = cache.planes.shape.head_dim;
    detail::align_scratch const s = detail::align_scratch::carve(memory, dim, net.wide, net.narrow);
    auto const vector = [&](std::uint32_t j) { return reinterpret_cast<float*>(plane.at(begin + j)); };
    for (std::uint32_t j = g.thread_rank(); j < n; j += g.num_threads())
      for (std::uint32_t d = 0; d < dim; ++d) s.vectors[j * dim + d] = vector(j)[d];
    g.sync();
    products_of(g, net.first, net.wide, dim, s.vectors, dim, n, s.wide, 1, net.wide);
    g.sync();
    for (std::uint32_t j = g.thread_rank(); j < n; j += g.num_threads()) {
      std::uint32_t const rank = row.ranks[begin + j];
      float const* const at = net.by_position + std::size_t{rank >= from ? rank - sinks : 0} * net.wide;
      float const* const of = net.by_head + std::size_t{head} * net.wide;
      float* const x = s.wide + std::size_t{j} * net.wide;
      for (std::uint32_t u = 0; u < net.wide; ++u) x[u] = positive(x[u] + at[u] + of[u]);
    }
    g.sync();
    products_of(g, net.second, net.narrow, net.wide, s.wide, net.wide, n, s.narrow, 1, net.narrow);
    g.sync();
    for (std::uint32_t j = g.thread_rank(); j < n; j += g.num_threads())
      for (std::uint32_t u = 0; u < net.narrow; ++u) {
        float& x = s.narrow[std::size_t{j} * net.narrow + u];
        x = positive(x + net.bias2[u]);
      }
    g.sync();
    products_of(g, net.third, dim, net.narrow, s.narrow, net.narrow, n, s.changes, 1, dim);
    g.sync();
    for (std::uint32_t j = g.thread_rank(); j < n; j += g.num_threads()) {
      if (row.ranks[begin + j] < from) continue;
      for (std::uint32_t d = 0; d < dim; ++d) vector(j)[d] += s.changes[j * dim + d] + net.bias3[d];
    }
    g.sync();
  }

  KVSIFT_HOST_DEVICE static float positive(float x) { return x > 0 ? x : 0; }
};

/// KV-Align: survivors of an eviction are moved to the position one below by two learned networks, one for keys and one for values,
/// so that a model with learned positions can go on without end. Each slot whose rank came down by one, but the `sinks` first,
/// becomes f(x), with p = its new rank - sinks. Once per evicted token and layer, so: heads evict one token at a time, when
/// `evict` asks; what does not fit of a prompt is taken token by token. Vectors are stored in fp32, for they are changed again and again.
/// The positions in use are 0 .. limit, as with in_cache_positions. Per evicted token, slot and network: 2 (head_dim + narrow) x
/// wide + 2 narrow x head_dim operations, a vector read and written. One launch more in `evict`, capturable.
struct learned_align {
  align_view key_network, value_network;  ///< of networks that outlive the cache
  std::uint32_t sinks = 4;

  static constexpr kvsift::keys_are keys = kvsift::keys_are::encoded;
  static constexpr bool ranked = true;

  static constexpr std::uint32_t next(std::uint32_t /*seen*/, std::uint32_t held) { return held; }
  rotary_table table(cache_shape const&, std::uint32_t /*slots*/) const { return {}; }
  static constexpr key_reading reading(rotary_view const&) { return {}; }

  /// Throws bad_argument unless the networks are trained for every position that slots of a head can come to.
  void check(std::uint32_t slots) const {
    for (align_view const* net : {&key_network, &value_network})
      require(slots <= std::uint64_t{sinks} + net->positions, "slots of a head", slots,
              "its networks are trained for fewer; lower the budget to the sinks and the trained positions");
  }
  /// Bytes that a row's block works in.
  std::size_t block_bytes(cache_shape const& shape) const {
    auto const of = [&](align_view const& net) { return detail::align_scratch::carve(nullptr, shape.head_dim, net.wide, net.narrow).bytes; };
    return of(key_network) > of(value_network) ? of(key_network) : of(value_network);
  }
  /// Realigns the rows of `layers` layers from first_layer on, of the sequences cache.who, after an eviction. workspace [rows of the cache, block_bytes].
  template <executor Executor, class Bound>
  void realign(Executor const& on, Bound const& cache, std::uint32_t first_layer, std::uint32_t layers, std::byte* workspace) const {
    on.launch(layers * cache.layer_rows(),
              align_task<Bound>{cache, key_network, value_network, sinks, first_layer, workspace, block_bytes(cache.planes.shape)});
  }
};

}  // namespace kvsift
