#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/collective/attention.hpp>
#include <kvsift/collective/chunk_results.hpp>
#include <kvsift/core/carver.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/core/lanes.hpp>
#include <kvsift/exec/block_memory.hpp>
#include <kvsift/payload/plain.hpp>

// Attention of one query over a chunk of a row's slots, by a block whose threads work side by side in its memory. A thread has one slice of
// eight components of every so many-th key, then value: neighbouring threads read neighbouring bytes, what it multiplies keys with stays in
// its registers, and copies of the slices to come are under way. Sums are added in an order that depends on neither threads nor memory.
namespace kvsift {

namespace detail {

/// Bytes of the copies that a thread has under way.
inline constexpr std::uint32_t ring_bytes = 128;

/// Slices of a vector; the last may be short.
KVSIFT_HOST_DEVICE constexpr std::uint32_t slices_of(std::uint32_t dim) { return (dim + lane_count - 1) / lane_count; }

/// Weighted values of a chunk are so many partial sums, by slot modulo this many: as many as keep 128 threads busy.
KVSIFT_HOST_DEVICE constexpr std::uint32_t value_parts(std::uint32_t dim) {
  std::uint32_t const parts = 128 / slices_of(dim);
  return parts < 1 ? 1 : parts < 32 ? parts : 32;
}

/// Heads that one reading of keys and values serves: the next power of two, at most eight, so that few texts do for all groups.
KVSIFT_HOST_DEVICE constexpr std::uint32_t heads_together(std::uint32_t heads) { return heads > 4 ? 8 : heads > 2 ? 4 : heads; }

}  // namespace detail

/// How a block reads keys and values: for Heads query heads at a time, by whole slices where vectors have 8, 16, 24, ... components.
/// It is chosen where the block is launched, so that each is a kernel that has registers for nothing else.
template <std::uint32_t Heads, bool Whole>
struct slice_reading {
  static constexpr std::uint32_t heads = Heads;
  static constexpr bool whole = Whole;

  /// The payload that reads slices best.
  template <class Payload>
  static constexpr auto best(Payload payload) {
    if constexpr (Whole && requires { typename Payload::aligned; }) return typename Payload::aligned{};
    else return payload;
  }
};

/// Calls f with the reading of a group of so many heads. Vectors of other sizes are read once for each head.
template <class F>
void with_reading(std::uint32_t group, std::uint32_t dim, F const& f) {
  std::uint32_t const heads = detail::heads_together(group);
  if (dim % lane_count != 0) f(slice_reading<1, false>{});
  else if (heads == 8) f(slice_reading<8, true>{});
  else if (heads == 4) f(slice_reading<4, true>{});
  else if (heads == 2) f(slice_reading<2, true>{});
  else f(slice_reading<1, true>{});
}

/// What the block that attends to a chunk works in. With a null base it only counts.
struct chunk_memory {
  float* queries = nullptr;   ///< [group, head_dim], scaled
  float* logits = nullptr;    ///< [group, chunk_slots], then weights
  float* by_lane = nullptr;   ///< [2, group, chunk_lanes]
  float* parts = nullptr;     ///< products of slices, then weighted values by part
  std::byte* ring = nullptr;  ///< [threads, ring_bytes], see slice_stream
  std::size_t bytes = 0;

  KVSIFT_HOST_DEVICE static chunk_memory carve(std::byte* base, std::uint32_t group, std::uint32_t dim, std::uint32_t threads) {
    std::size_t const heads = detail::heads_together(group);
    std::size_t const products = std::size_t{chunk_slots} * (detail::slices_of(dim) + 1), values = heads * dim * detail::value_parts(dim);
    std::size_t const turned = std::size_t{group} * dim, most = products < values ? values : products;
    chunk_memory m;
    carver memory{base};
    m.queries = memory.take<float>(turned);
    m.logits = memory.take<float>(std::size_t{group} * chunk_slots);
    m.by_lane = memory.take<float>(std::size_t{2} * group * chunk_lanes);
    m.parts = memory.take<float>(most < turned ? turned : most);
    m.ring = memory.take<std::byte>(std::size_t{threads} * detail::ring_bytes);
    m.bytes = memory.bytes;
    return m;
  }
};

namespace detail {

/// Bytes of a slice that is copied as it is stored, 0 where slices are read where they lie.
template <class Read>
inline constexpr std::uint32_t slice_bytes = 0;
template <class Read>
requires(Read::is_aligned)
inline constexpr std::uint32_t slice_bytes<Read> = lane_count * sizeof(typename Read::element);

/// Eight components of a vector from d on; those beyond dim, which there are unless Whole, are 0.
template <class Read, bool Whole>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void load_slice(std::byte const* vector, std::size_t d, std::size_t dim, lanes& out) {
  if constexpr (Whole) {
    Read::load(vector, d, out);
  } else {
    float some[lane_count];
    KVSIFT_UNROLL for (std::uint32_t l = 0; l < lane_count; ++l) some[l] = d + l < dim ? Read::load(vector, d + l) : 0.0f;
    out.load(some);
  }
}

/// One thread's way through the slices at `d` of slots begin, begin + step, ... below end. Where they can be copied as they are stored, as
/// many as its part of the ring holds are under way.
template <class Read, bool Whole, cooperative_group G, class Places>
class slice_stream {
  static constexpr std::uint32_t bytes = slice_bytes<Read>, depth = bytes == 0 ? 1 : ring_bytes / bytes;

 public:
  KVSIFT_HOST_DEVICE KVSIFT_INLINE slice_stream(G const& g, placed_vectors<Places> const& vectors, std::uint32_t dim, std::byte* ring)
      : g_(g), vectors_(vectors), ring_(ring + g.thread_rank() * bytes), dim_(dim) {}

  /// Asks for the first slices. The stream before has been taken to its end.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void begin(std::uint32_t d, std::uint32_t first, std::uint32_t step, std::uint32_t end) {
    d_ = d;
    slot_ = asked_ = first;
    step_ = step;
    end_ = end;
    stage_ = 0;
    if constexpr (bytes != 0)
      KVSIFT_UNROLL for (std::uint32_t stage = 0; stage < depth; ++stage) ask(stage);
  }
  /// Calls f(slot, slice) for the slots below `until` that have not been taken.
  template <class F>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void take(std::uint32_t until, F const& f) {
    std::uint32_t const last = until < end_ ? until : end_;
    for (; slot_ < last; slot_ += step_) {
      lanes slice;
      if constexpr (bytes != 0) {
        wait_for_batches<depth - 1>(g_);
        Read::load(place(stage_), 0, slice);
        f(slot_, slice);
        ask(stage_);
        stage_ = stage_ + 1 == depth ? 0 : stage_ + 1;
      } else {
        load_slice<Read, Whole>(vectors_.at(slot_), d_, dim_, slice);
        f(slot_, slice);
      }
    }
  }

 private:
  KVSIFT_HOST_DEVICE KVSIFT_INLINE std::byte* place(std::uint32_t stage) const {
    return ring_ + stage * g_.num_threads() * bytes;
  }
  KVSIFT_HOST_DEVICE KVSIFT_INLINE void ask(std::uint32_t stage) {
    if (asked_ < end_) ask_for<bytes>(g_, place(stage), vectors_.at(asked_) + d_ / lane_count * bytes);
    end_batch(g_);
    asked_ += step_;
  }

  G const& g_;
  placed_vectors<Places> vectors_;
  std::byte* ring_;  // of this thread, where the first batch goes
  std::uint32_t dim_, d_ = 0, slot_ = 0, asked_ = 0, step_ = 1, end_ = 0, stage_ = 0;
};

}  // namespace detail

/// Logits of a group's queries against the n keys of a chunk: memory.logits[h x chunk_slots + slot] = q[h] . key[slot].
/// q [group, dim], scaled. Reads each key once for Reading::heads heads: products of slices first, then their sums, as many slots at a time
/// as there is room for.
template <class Reading, class Payload, cooperative_group G, class Places>
KVSIFT_HOST_DEVICE void logits_of_chunk(G const& g, float const* q, std::uint32_t group, std::uint32_t dim, placed_vectors<Places> const& keys,
                                        std::uint32_t n, chunk_memory const& memory) {
  using read = decltype(Reading::best(Payload{}));
  constexpr std::uint32_t heads = Reading::heads, tile = chunk_slots / heads;
  std::uint32_t const slices = detail::slices_of(dim), pitch = slices + 1;  // one more, so that neighbouring slots lie in other banks
  std::uint32_t const rank = g.thread_rank(), threads = g.num_threads();
  bool const several = threads < slices;  // slices of a key that this thread has
  std::uint32_t const step = several ? 1 : threads / slices, own = several ? 0 : rank / slices;
  detail::slice_stream<read, Reading::whole, G, Places> stream(g, keys, dim, memory.ring);
  for (std::uint32_t head = 0; head < group; head += heads) {
    std::uint32_t const there = group - head < heads ? group - head : heads;
    lanes query[heads] = {};
    for (std::uint32_t first = 0; first < n; first += tile) {
      std::uint32_t const until = n - first < tile ? n : first + tile;
      for (std::uint32_t p = own < step ? rank - own * slices : slices; p < slices; p += threads) {
        if (first == 0 || several) {
          KVSIFT_UNROLL for (std::uint32_t h = 0; h < heads; ++h)
            if (h < there)
              detail::load_slice<fp32_payload, Reading::whole>(reinterpret_cast<std::byte const*>(q + (head + h) * dim), p * lane_count, dim, query[h]);
          stream.begin(p * lane_count, several ? first : own, step, several ? until : n);
        }
        stream.take(until, [&](std::uint32_t slot, lanes const& key) {
          float* const products = memory.parts + (slot - first) * pitch + p;
          KVSIFT_UNROLL for (std::uint32_t h = 0; h < heads; ++h) products[h * tile * pitch] = query[h].dot(key);
        });
      }
      g.sync();
      for (std::uint32_t item = rank; item < there * tile; item += threads) {
        std::uint32_t const slot = first + item % tile;
        if (slot >= until) continue;
        float const* const products = memory.parts + item * pitch;
        float sum = products[0];
        for (std::uint32_t p = 1; p < slices; ++p) sum += products[p];
        memory.logits[(head + item / tile) * chunk_slots + slot] = sum;
      }
      g.sync();
    }
  }
}

/// Turns logits [heads, chunk_slots] of a chunk into weights in place: w[h, i] = exp(l - highest of its head), i < n, n at least 1; their
/// sums go to totals. highest, totals [heads], by_lane [2, heads, chunk_lanes]. totals are there after the next sync.
template <cooperative_group G>
KVSIFT_HOST_DEVICE void weigh_chunk(G const& g, float* w, std::uint32_t heads, std::uint32_t n, float* by_lane, float* highest, float* totals) {
  detail::highest_and_total(
      g, heads, n, [&](std::uint32_t h, std::uint32_t i) { return w[h * chunk_slots + i]; },
      [&](std::uint32_t h, std::uint32_t i, float best) { return w[h * chunk_slots + i] = exp_of(w[h * chunk_slots + i] - best); }, by_lane,
      highest, totals);
}

/// out[h][d] = sum over the n slots of a chunk of memory.logits[h x chunk_slots + slot] x value[slot][d]. out [group, dim].
/// weigh() is called by all threads when the first values have been asked for: it leaves the weights and ends with a sync. Reads each value
/// once for Reading::heads heads.
template <class Reading, class Payload, cooperative_group G, class Places, class Weigh>
KVSIFT_HOST_DEVICE void add_chunk(G const& g, std::uint32_t group, placed_vectors<Places> const& values, std::uint32_t n, std::uint32_t dim,
                                  chunk_memory const& memory, float* out, Weigh const& weigh) {
  using read = decltype(Reading::best(Payload{}));
  constexpr std::uint32_t heads = Reading::heads;
  std::uint32_t const slices = detail::slices_of(dim), parts = detail::value_parts(dim), items = parts * slices;
  std::uint32_t const rank = g.thread_rank(), threads = g.num_threads();
  detail::slice_stream<read, Reading::whole, G, Places> stream(g, values, dim, memory.ring);
  auto const begin = [&](std::uint32_t item) {
    if (item < items) stream.begin(item % slices * lane_count, item / slices, parts, n);
  };
  begin(rank);
  weigh();
  for (std::uint32_t head = 0; head < group; head += heads) {
    std::uint32_t const there = group - head < heads ? group - head : heads, all = there * dim;
    float const* const weights = memory.logits + head * chunk_slots;
    for (std::uint32_t item = rank; item < items; item += threads) {
      if (item != rank || head != 0) begin(item);
      lanes sums[heads];
      KVSIFT_UNROLL for (std::uint32_t h = 0; h < heads; ++h) sums[h].fill(0);
      stream.take(n, [&](std::uint32_t slot, lanes const& value) {
        KVSIFT_UNROLL for (std::uint32_t h = 0; h < heads; ++h) {
          lanes weight;
          weight.fill(h < there ? weights[h * chunk_slots + slot] : 0.0f);
          sums[h].add_product(weight, value);
        }
      });
      std::uint32_t const d = item % slices * lane_count;
      float* const part = memory.parts + item / slices * all + d;
      KVSIFT_UNROLL for (std::uint32_t h = 0; h < heads; ++h) {
        if (h >= there) continue;
        if constexpr (Reading::whole) {
          sums[h].store(part + h * dim);
        } else {
          float some[lane_count];
          sums[h].store(some);
          KVSIFT_UNROLL for (std::uint32_t l = 0; l < lane_count; ++l)
            if (d + l < dim) part[h * dim + l] = some[l];
        }
      }
    }
    g.sync();
    for (std::uint32_t i = rank; i < all; i += threads) {
      float sum = memory.parts[i];
      for (std::uint32_t part = 1; part < parts; ++part) sum += memory.parts[part * all + i];
      out[head * dim + i] = sum;
    }
    g.sync();
  }
}

}  // namespace kvsift
