#pragma once
// The caches behind sessions. Heavy to compile, so that every layout has a source of its own: session_cache.cpp for rows,
// session_cache_paged.cpp for pages.
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
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

// What the cache is planned for. Where only the prompt is cut every head grows by as much, whatever its budget.
inline kvsift::cache_options planned_for(policy_choice const& choice, session_options const& o) {
  bool const grows = choice.bounded() && o.capacity > choice.slots();
  return {.capacity = choice.bounded() ? 0 : o.capacity,
          .max_piece = o.longest_piece,
          .promised = grows ? o.capacity - choice.slots() : 0};
}

template <class Payload, class Position, class Placement>
class session_cache_of final : public session_cache {
 public:
  session_cache_of(kvsift::cache_shape const& shape, policy_choice const& choice, session_options const& o, kvsift::rotary_encoding const& encoding, Position position)
      : cache_(shape, kvsift::with_encoding(allocated(choice.made, choice.allocator, shape).value, encoding), planned_for(choice, o), position) {
    if constexpr (Placement::paged) held_.reserve(cache_.slots().longest);
  }

  kvsift::keys_are keys_are() const override { return Position::keys; }
  void step(kvsift::parallel_executor const& on, std::uint32_t layer, kvsift::arrivals const& piece, float* out) override {
    kvsift::step(on, cache_.layer(layer), piece, out);
  }
  void evict(kvsift::parallel_executor const& on) override { kvsift::evict(on, cache_); }
  void make_room(kvsift::parallel_executor const& on, std::uint32_t tokens) override { kvsift::make_room(on, cache_, tokens); }
  std::span<std::uint32_t const> held(std::uint32_t layer, std::uint32_t head) const override {
    auto const& view = cache_.view();
    auto const row = view.row(view.shape.row(layer, 0, head));
    if constexpr (Placement::paged) {
      held_.clear();
      for (std::uint32_t i = 0; i < row.state->held; ++i) held_.push_back(row.positions[i]);
      return held_;
    } else {
      return {row.positions.data(), row.state->held};
    }
  }
  session_memory memory() const override {
    kvsift::cache_bytes const& bytes = cache_.bytes();
    return {bytes.vectors, bytes.bookkeeping(), cache_.workspace_bytes(), bytes.states + bytes.tables, cache_.view().slots};
  }
  void clear() override { cache_.clear(); }
  kvsift::cache_image image() const override { return kvsift::image_of(cache_); }
  void restore(kvsift::cache_image const& image) override { kvsift::restore(cache_, image); }

 private:
  kvsift::kv_tensor<kvsift::any_policy, Payload, Position, kvsift::dropped, Placement> cache_;
  mutable std::vector<std::uint32_t> held_;  // in pages the positions of a row do not lie together
};

template <class Placement>
std::unique_ptr<session_cache> make_session_cache_in(reference_model::config const& c, policy_choice const& choice, session_options const& o) {
  kvsift::cache_shape const shape{.layers = c.layers, .kv_heads = c.kv_heads, .group = c.group(), .head_dim = c.head_dim, .sequences = 1};
  std::unique_ptr<session_cache> made;
  with_storage(choice.storage, [&]<class Payload>(Payload) {
    if (o.stand == standing::in_cache) {
      using by_rank = kvsift::in_cache_positions;
      made = std::make_unique<session_cache_of<Payload, by_rank, Placement>>(shape, choice, o, c.rotation, by_rank{c.rotation, c.bias});
    } else if (o.stand == standing::learned_align) {
      if constexpr (std::is_same_v<Payload, kvsift::fp32_payload>)
        made = std::make_unique<session_cache_of<Payload, kvsift::learned_align, Placement>>(shape, choice, o, c.rotation, *o.align);
      else
        throw usage_error("storage is " + choice.storage + "; vectors that are realigned again and again are stored in fp32");
    } else {
      using original = kvsift::original_positions;
      made = std::make_unique<session_cache_of<Payload, original, Placement>>(shape, choice, o, c.rotation, original{c.bias});
    }
  });
  return made;
}

extern template std::unique_ptr<session_cache> make_session_cache_in<kvsift::in_pages>(reference_model::config const&, policy_choice const&,
                                                                                      session_options const&);

}  // namespace programs
