#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include <kvsift/cache/moves.hpp>
#include <kvsift/core/check.hpp>
#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/evict/sequences.hpp>
#include <kvsift/exec/group.hpp>

// Everything that a cache remembers between two verbs, apart from it: to go back to, or to write down. Host only.
namespace kvsift {

/// One column of all slots in use.
struct column_image {
  std::string name;             ///< column_name
  std::size_t bytes = 0;        ///< of a slot
  std::vector<std::byte> data;  ///< [slots, bytes]
  friend bool operator==(column_image const&, column_image const&) = default;
};

/// Slots stand row by row, within a row in their order. Rows are counted as in the cache: layer, then sequence, then KV
/// head.
struct cache_image {
  cache_shape shape{};                          ///< of the cache, with the sequences that the image is of
  std::size_t vector_bytes = 0;
  std::vector<row_state> states;                ///< [rows]
  std::vector<std::uint32_t> held, least_held;  ///< [layers, sequences], see slots_held
  std::vector<std::byte> keys, values;          ///< [slots, vector_bytes], as the payload stores them
  std::vector<std::uint32_t> positions;         ///< [slots]
  std::vector<std::uint32_t> ranks;             ///< [slots], or empty if the position rule keeps none
  std::vector<column_image> columns;            ///< of those that are stored

  std::size_t slots() const { return positions.size(); }
  friend bool operator==(cache_image const&, cache_image const&) = default;
};

namespace detail {

inline cache_shape shape_of(cache_shape shape, sequence_range who) {
  shape.sequences = who.count;
  return shape;
}
/// The cache's number of a row of an image of some of its sequences.
inline std::uint32_t row_in_cache(cache_shape const& cache, sequence_range who, std::uint32_t r) {
  std::uint32_t const rows = who.count * cache.kv_heads;
  return cache.row(r / rows, who.first, r % rows);
}

template <class Cache, class Planes>
void take_image(Cache const& cache, sequence_range who, Planes const& planes, cache_image& image) {
  image.shape = shape_of(planes.shape, who);
  image.vector_bytes = planes.vector_bytes;
  for (std::uint32_t l = 0; l < planes.shape.layers; ++l)
    for (std::uint32_t s = who.first; s < who.first + who.count; ++s) {
      image.held.push_back(cache.counted(l, s).most);
      image.least_held.push_back(cache.counted(l, s).least);
    }
  planes.stored.for_each([&]<class C>(C const& column, std::size_t) {
    if (column.width() != 0)
      image.columns.push_back({column_name<C>(), column.width() * sizeof(typename C::element), {}});
  });
  auto const append = [](std::vector<std::byte>& to, void const* from, std::size_t bytes) {
    auto const* const begin = static_cast<std::byte const*>(from);
    to.insert(to.end(), begin, begin + bytes);
  };
  for (std::uint32_t r = 0; r < image.shape.rows(); ++r) {
    auto const row = planes.row(row_in_cache(planes.shape, who, r));
    image.states.push_back(*row.state);
    for (std::uint32_t slot = 0; slot < row.state->held; ++slot) {
      append(image.keys, row.keys.at(slot), planes.vector_bytes);
      append(image.values, row.values.at(slot), planes.vector_bytes);
      image.positions.push_back(row.positions[slot]);
      if (row.ranks != nullptr) image.ranks.push_back(row.ranks[slot]);
      std::size_t c = 0;
      planes.stored.for_each([&]<class C>(C const& column, std::size_t) {
        if (column.width() == 0) return;
        append(image.columns[c].data, row.template column<C>().at(slot), image.columns[c].bytes);
        ++c;
      });
    }
  }
}

/// Refuses an image that no cache of this plan can have come to: whatever is restored, the verbs stay within their
/// memory.
template <class Cache>
void check_image(Cache const& cache, sequence_range who, cache_image const& image) {
  auto const& planes = cache.view();
  cache_shape const s = shape_of(planes.shape, who);
  slot_plan const& plan = cache.slots();
  require(image.shape == s, "shape of the image", image.shape.rows(),
          "layers, heads, group, head_dim or sequences are not the cache's; make the cache it is of");
  require(image.vector_bytes == planes.vector_bytes, "vector_bytes of the image", image.vector_bytes,
          "the cache stores vectors in another number of bytes; give it the same payload");
  std::size_t const counts = std::size_t{s.layers} * s.sequences;
  require(image.states.size() == s.rows() && image.held.size() == counts && image.least_held.size() == counts,
          "rows of the image", image.states.size(), "the image is damaged");
  std::size_t slots = 0;
  for (row_state const& state : image.states) slots += state.held;
  bool const ranked = planes.ranks != nullptr;
  require(image.positions.size() == slots && image.keys.size() == slots * image.vector_bytes &&
              image.values.size() == image.keys.size() && image.ranks.size() == (ranked ? slots : 0),
          "slots of the image", image.positions.size(),
          "its parts differ in length; the image is damaged, or of another position rule");
  std::size_t c = 0;
  planes.stored.for_each([&]<class C>(C const& column, std::size_t) {
    if (column.width() == 0) return;
    bool const same = c < image.columns.size() && image.columns[c].name == column_name<C>() &&
                      image.columns[c].bytes == column.width() * sizeof(typename C::element) &&
                      image.columns[c].data.size() == slots * image.columns[c].bytes;
    require(same, "columns of the image", image.columns.size(),
            "they are not those of the cache's policy; make the cache with the policy it is of");
    ++c;
  });
  require(c == image.columns.size(), "columns of the image", image.columns.size(), "the cache's policy stores fewer");

  bool const measured = cache.policy().facts().competing;
  std::uint32_t choices = 0;  // that a head has, where each measures for itself; its limit is then its own
  with_measured(cache.policy().budget, [&]<class Shares>(Shares const& shares) {
    if constexpr (Shares::each_head) choices = shares.recipes.count;
  });
  std::size_t at = 0;
  std::uint64_t given = 0;  // slots that the heads of a layer and sequence may keep
  std::vector<std::uint32_t> order;
  for (std::uint32_t r = 0; r < s.rows(); ++r) {
    row_state const& state = image.states[r];
    std::uint32_t const layer = r / s.layer_rows(), own = r / s.kv_heads, planned = plan.limits[layer * s.kv_heads + r % s.kv_heads];
    std::uint32_t const beyond = plan.least_room[layer] - plan.least[layer];
    bool const most = planned == plan.most[layer], least = planned == plan.least[layer];
    given = r % s.kv_heads == 0 ? state.limit : given + state.limit;
    require(state.choice <= choices, "choice in the image", state.choice, "the cache's policy has fewer; the image is damaged");
    require(state.choice != 0 || (measured ? given <= std::uint64_t{planned} * s.kv_heads : state.limit == planned), "limit of the image",
            state.limit, "the cache's policy has another; make it with the policy the image is of");
    require(!measured || state.limit <= std::uint64_t{planned} + (plan.longest - plan.capacity), "limit of the image",
            state.limit, "a head won more than the cache is planned for; give max_piece the length of the prompt");
    std::uint64_t const room =
        measured ? std::uint64_t{state.limit} + beyond : plan.rooms[layer * s.kv_heads + r % s.kv_heads];
    require(state.held <= room, "slots held in the image", state.held,
            "the cache has fewer; plan for a larger capacity");
    // A head holds no more above its limit than the head by which the verbs see that a layer is full.
    std::int64_t const above = measured ? std::int64_t{image.held[own]} - plan.most[layer]
                                        : std::int64_t{image.least_held[own]} - plan.least[layer];
    bool const counted =
        measured || (state.choice != 0 && state.held <= image.held[own]) || ((!most || state.held == image.held[own]) && (!least || state.held == image.least_held[own]));
    require(counted && (state.limit == no_limit || state.choice != 0 || std::int64_t{state.held} - state.limit <= above),
            "slots held in the image", state.held,
            "more or fewer than its policy lets a head hold; the image is damaged");
    require(state.observed_from <= state.next && state.fed_from <= state.next && state.held <= state.next && state.next <= 0x7fffffffu,
            "tokens seen in the image", state.next, "fewer than were held or fed, or more than 2^31; the image is damaged");
    order.resize(state.held);
    std::iota(order.begin(), order.end(), 0u);
    std::uint32_t const* const p = image.positions.data() + at;
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return p[a] < p[b]; });
    for (std::uint32_t i = 0; i < state.held; ++i) {
      bool const rises = (i == 0 || p[order[i - 1]] < p[order[i]]) && p[order[i]] < state.next;
      bool const in_order = planes.order != layout::dense || order[i] == i;
      require(
          rises && in_order && (!ranked || image.ranks[at + order[i]] == i), "position in the image", p[order[i]],
          "positions are different, below the tokens seen, in the layout's order, and ranked; the image is damaged");
    }
    at += state.held;
  }
  for (std::size_t i = 0; i < counts; ++i) {
    std::size_t const l = i / s.sequences;
    require(image.held[i] <= plan.most_room[l] && image.least_held[i] <= plan.least_room[l], "slots held in the image",
            image.held[i], "the cache has fewer; plan for a larger capacity");
  }
}

/// What was there goes, and the image stands in its place.
template <class Cache, class Planes>
void put_back(Cache const& cache, sequence_range who, Planes const& planes, cache_image const& image) {
  for (std::uint32_t r = 0; r < image.shape.rows(); ++r) {
    auto const row = planes.row(row_in_cache(planes.shape, who, r));
    give_back_slots(planes, row, row.state->held, 0);
  }
  if (cache.policy().facts().competing)  // rows lie as the heads' limits came out
    for (std::uint32_t r = 0; r < image.shape.rows(); ++r) {
      std::uint32_t const own = row_in_cache(planes.shape, who, r), layer = own / planes.shape.layer_rows();
      std::uint32_t const beyond = cache.slots().least_room[layer] - cache.slots().least[layer];
      if ((own + 1) % planes.shape.kv_heads != 0)
        planes.firsts[own + 1] =
            planes.firsts[own] + whole(std::uint64_t{image.states[r].limit} + beyond, Planes::placement::grain);
    }
  std::size_t from = 0;
  for (std::uint32_t r = 0; r < image.shape.rows(); ++r) {
    auto const row = planes.row(row_in_cache(planes.shape, who, r));
    for (std::uint32_t slot = 0; slot < image.states[r].held; ++slot, ++from) {
      take_slot(serial_group{}, planes, row, slot);
      std::memcpy(row.keys.at(slot), image.keys.data() + from * image.vector_bytes, image.vector_bytes);
      std::memcpy(row.values.at(slot), image.values.data() + from * image.vector_bytes, image.vector_bytes);
      row.positions[slot] = image.positions[from];
      if (row.ranks != nullptr) row.ranks[slot] = image.ranks[from];
      std::size_t c = 0;
      planes.stored.for_each([&]<class C>(C const& column, std::size_t) {
        if (column.width() == 0) return;
        column_image const& saved = image.columns[c++];
        std::memcpy(row.template column<C>().at(slot), saved.data.data() + from * saved.bytes, saved.bytes);
      });
    }
    *row.state = image.states[r];
  }
}

}  // namespace detail

namespace detail {

template <class Cache>
cache_image image_of(Cache const& cache, sequence_range who) {
  cache_image image;
  cache.read_planes([&](auto const& planes) { take_image(cache, who, planes, image); });
  return image;
}

template <class Cache>
void restore(Cache& cache, sequence_range who, cache_image const& image) {
  cache.change_planes([&](auto const& planes) { put_back(cache, who, planes, image); });
  for (std::uint32_t i = 0; i < cache.shape().layers * who.count; ++i)
    cache.counted(i / who.count, who.first + i % who.count) = {image.held[i], image.least_held[i],
                                                               image.states[std::size_t{i} * cache.shape().kv_heads].next};
}

}  // namespace detail

/// The image of a cache. Copies every slot in use, or the whole cache where the host does not reach it; allocates.
template <class Policy, class Payload, class Position, class Disposal, class Placement, class Memory>
cache_image image_of(kv_tensor<Policy, Payload, Position, Disposal, Placement, Memory> const& cache) {
  return detail::image_of(cache, {0, cache.shape().sequences, false});
}
/// The same of some sequences: image_of(cache.sequence(3)).
template <class Cache>
cache_image image_of(cache_part<Cache> some) {
  return detail::image_of(some.cache, some.who);
}

/// Lets a cache be what it was when the image was taken, of this or of another cache of the same shape, policy, payload
/// and position rule; capacities may differ, and rows and pages. What it held is forgotten, and no sequence is paused. Copies every slot; takes no
/// memory but a list of one row's slots, and a copy of the cache where the host does not reach it. Throws
/// bad_argument, and changes nothing, if the image is of another cache or damaged.
template <class Policy, class Payload, class Position, class Disposal, class Placement, class Memory>
void restore(kv_tensor<Policy, Payload, Position, Disposal, Placement, Memory>& cache, cache_image const& image) {
  sequence_range const all{0, cache.shape().sequences, false};
  detail::check_image(cache, all, image);
  cache.clear();
  detail::restore(cache, all, image);
}
/// The same of some sequences, of whatever places an image of as many is: a request that was swapped out goes on at another place. Others stay
/// as they are, and so does who is paused.
template <class Cache>
void restore(cache_part<Cache> some, cache_image const& image) {
  detail::check_image(some.cache, some.who, image);
  detail::restore(some.cache, some.who, image);
}

}  // namespace kvsift
