#pragma once
// The caches behind sessions. Heavy to compile, so that every layout has a source of its own: session_cache.cpp for rows,
// session_cache_paged.cpp for pages; examples/cuda for those on a GPU.
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <common/allocator.hpp>
#include <common/errors.hpp>
#include <common/session_cache.hpp>
#include <common/storage.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/policy/any_policy.hpp>
#include <kvsift/position/in_cache.hpp>
#include <kvsift/position/learned_align.hpp>
#include <kvsift/position/original.hpp>

namespace programs {

// Where a session's cache lies and who runs its verbs: the interface, the memory, and the executor of what the interface is given.
struct on_host {
  using interface = host_session_cache;
  using memory = kvsift::main_memory;
  using given = kvsift::parallel_executor const&;
  static kvsift::parallel_executor const& executor(given on) { return on; }
  static constexpr std::uint32_t group_threads = 1;
  memory source{};
};

// What the cache is planned for. Where only the prompt is cut every head grows by as much, whatever its budget.
inline kvsift::cache_options planned_for(policy_choice const& choice, session_options const& o, std::uint32_t group_threads) {
  bool const grows = choice.bounded() && o.capacity > choice.slots();
  return {.capacity = choice.bounded() ? 0 : o.capacity,
          .max_piece = o.longest_piece,
          .promised = grows ? o.capacity - choice.slots() : 0,
          .group_threads = group_threads};
}

struct nothing {};

// `Kept`: memory that the position rule looks at.
template <class Where, class Payload, class Position, class Placement, class Kept = nothing>
class session_cache_of final : public Where::interface {
 public:
  using given = typename Where::given;

  session_cache_of(Where const& where, kvsift::cache_shape const& shape, policy_choice const& choice, session_options const& o,
                   kvsift::rotary_encoding const& encoding, Position position, Kept kept = {})
      : kept_(std::move(kept)),
        cache_(shape, kvsift::with_encoding(allocated(choice.made, choice.allocator, shape).value, encoding),
               planned_for(choice, o, Where::group_threads), position, kvsift::dropped{}, Placement{}, where.source) {
    if constexpr (Placement::paged) held_.reserve(cache_.slots().longest);
  }

  kvsift::keys_are keys_are() const override { return Position::keys; }
  void step(given on, std::uint32_t layer, kvsift::arrivals const& piece, float* out) override {
    kvsift::step(Where::executor(on), cache_.layer(layer), piece, out);
    changed();
  }
  void evict(given on) override {
    kvsift::evict(Where::executor(on), cache_);
    changed();
  }
  void make_room(given on, std::uint32_t tokens) override {
    kvsift::make_room(Where::executor(on), cache_, tokens);
    changed();
  }
  void count_replayed() override {
    cache_.count_replayed();
    changed();
  }
  std::uint32_t count() const override {
    kvsift::row_state state{};
    cache_.memory().copy_out(&state, reinterpret_cast<std::byte const*>(cache_.view().states), sizeof state);
    return state.held;
  }
  std::span<std::uint32_t const> held(std::uint32_t layer, std::uint32_t head) const override {
    auto const& view = cache_.view();
    std::uint32_t const r = view.shape.row(layer, 0, head);
    if constexpr (!here) {
      if (stale_) read_positions();
      return all_held_[r];
    } else {
      auto const row = view.row(r);
      if constexpr (Placement::paged) {
        held_.clear();
        for (std::uint32_t i = 0; i < row.state->held; ++i) held_.push_back(row.positions[i]);
        return held_;
      } else {
        return {row.positions.data(), row.state->held};
      }
    }
  }
  session_memory memory() const override {
    kvsift::cache_bytes const& bytes = cache_.bytes();
    return {bytes.vectors, bytes.bookkeeping(), cache_.workspace_bytes(), bytes.states + bytes.tables, cache_.view().slots};
  }
  void clear() override {
    cache_.clear();
    changed();
  }
  kvsift::cache_image image() const override { return kvsift::image_of(cache_); }
  void restore(kvsift::cache_image const& image) override {
    kvsift::restore(cache_, image);
    changed();
  }

 private:
  using cache_type = kvsift::kv_tensor<kvsift::any_policy, Payload, Position, kvsift::dropped, Placement, typename Where::memory>;
  static constexpr bool here = kvsift::is_host_memory<typename Where::memory>;

  void changed() {
    if constexpr (!here) stale_ = true;
  }
  // The positions of every row, in one copy.
  void read_positions() const {
    all_held_.resize(cache_.shape().rows());
    cache_.read_planes([&](auto const& planes) {
      for (std::uint32_t r = 0; r < all_held_.size(); ++r) {
        auto const row = planes.row(r);
        all_held_[r].clear();
        for (std::uint32_t i = 0; i < row.state->held; ++i) all_held_[r].push_back(row.positions[i]);
      }
    });
    stale_ = false;
  }

  [[no_unique_address]] Kept kept_;
  cache_type cache_;
  mutable std::vector<std::uint32_t> held_;  // in pages the positions of a row do not lie together
  mutable std::vector<std::vector<std::uint32_t>> all_held_;  // [rows], of a cache elsewhere
  mutable bool stale_ = true;                                 // and whether they are not its latest
};

// One that stores vectors as Payload does. Throws usage_error or bad_argument.
template <class Payload, class Placement, class Where>
std::unique_ptr<typename Where::interface> make_session_cache_of(Where const& where, reference_model::config const& c, policy_choice const& choice,
                                                                 session_options const& o) {
  kvsift::cache_shape const shape{.layers = c.layers, .kv_heads = c.kv_heads, .group = c.group(), .head_dim = c.head_dim, .sequences = 1};
  if (o.stand == standing::in_cache) {
    using by_rank = kvsift::in_cache_positions;
    return std::make_unique<session_cache_of<Where, Payload, by_rank, Placement>>(where, shape, choice, o, c.rotation, by_rank{c.rotation, c.bias});
  }
  if (o.stand == standing::learned_align) {
    using by_network = kvsift::learned_align;
    if constexpr (!std::is_same_v<Payload, kvsift::fp32_payload>) {
      throw usage_error("storage is " + choice.storage + "; vectors that are realigned again and again are stored in fp32");
    } else if constexpr (kvsift::is_host_memory<typename Where::memory>) {
      return std::make_unique<session_cache_of<Where, Payload, by_network, Placement>>(where, shape, choice, o, c.rotation, *o.align);
    } else {
      kvsift::align_network const &keys = o.networks->keys, &values = o.networks->values;
      auto kept = where.source.allocate((keys.floats() + values.floats()) * sizeof(float));
      auto* const to = reinterpret_cast<float*>(kept.data());
      by_network const there{keys.copied(where.source, to), values.copied(where.source, to + keys.floats()), o.align->sinks};
      return std::make_unique<session_cache_of<Where, Payload, by_network, Placement, decltype(kept)>>(where, shape, choice, o, c.rotation, there, std::move(kept));
    }
  }
  using original = kvsift::original_positions;
  return std::make_unique<session_cache_of<Where, Payload, original, Placement>>(where, shape, choice, o, c.rotation, original{c.bias});
}

template <class Placement>
std::unique_ptr<host_session_cache> make_session_cache_in(reference_model::config const& c, policy_choice const& choice, session_options const& o) {
  std::unique_ptr<host_session_cache> made;
  with_storage(choice.storage, [&]<class Payload>(Payload) { made = make_session_cache_of<Payload, Placement>(on_host{}, c, choice, o); });
  return made;
}

extern template std::unique_ptr<host_session_cache> make_session_cache_in<kvsift::in_pages>(reference_model::config const&, policy_choice const&,
                                                                                           session_options const&);

}  // namespace programs
