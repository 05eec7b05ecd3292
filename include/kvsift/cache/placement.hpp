#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/collective/attention.hpp>
#include <kvsift/core/config.hpp>
#include <kvsift/exec/group.hpp>

// Where the slots of a row lie in the planes of a cache. A placement is a type: the compiler resolves every address, and one
// text serves all. `places` tells where a slot lies; `grain` is what rows are made of, in slots.
namespace kvsift {

/// Slots of a row lie one behind another. A place is the slot itself: planes are handed out from where the row begins.
struct in_rows {
  using places = in_order;
  static constexpr bool paged = false;
  static constexpr std::uint32_t grain = 1;
};

/// From the number of a slot to its place, modulo 2^64: the same for all slots of a page. Planes moved by it are a row, as far
/// as the page goes, so that a loop over a page is the loop over a row.
struct page_shift {
  std::size_t slots = 0;

  template <class T>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE T* operator()(T* plane, std::size_t bytes) const {  // of a slot; not a place in the plane by itself
    return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(plane) + slots * bytes);
  }
};

/// Slots of a page: of every plane the same 32, so that what a head keeps comes and goes as a whole.
inline constexpr std::uint32_t page_slots = 32;

/// A row is made of pages, taken where its slots are first used and given back with its last: ceil(held / 32) of them.
/// Slot i lies in every plane at pages[i / 32] x 32 + i mod 32.
struct in_pages {
  struct places {
    std::uint32_t* pages = nullptr;  ///< of this row

    KVSIFT_HOST_DEVICE KVSIFT_INLINE std::size_t operator()(std::size_t slot) const {
      return std::size_t{pages[slot / page_slots]} * page_slots + slot % page_slots;
    }
    /// The page that a slot lies in.
    KVSIFT_HOST_DEVICE KVSIFT_INLINE page_shift page_of(std::size_t slot) const { return {(*this)(slot) - slot}; }
  };
  static constexpr bool paged = true;
  static constexpr std::uint32_t grain = page_slots;
};

/// One value for every slot of a row.
template <class T, class Places = in_order>
struct slot_values {
  T* base = nullptr;
  Places places{};

  KVSIFT_HOST_DEVICE KVSIFT_INLINE T& operator[](std::size_t slot) const { return base[places(slot)]; }
  /// Where that of a slot lies.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE T* operator+(std::size_t slot) const { return base + places(slot); }
  /// All of them as an array, where slots lie one behind another.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE T* data() const requires(std::is_same_v<Places, in_order>) { return base; }
  /// The same as far as one page goes, or all of it where slots lie one behind another.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE slot_values<T> within(page_shift page) const { return {page(base, sizeof(T)), {}}; }
  KVSIFT_HOST_DEVICE KVSIFT_INLINE slot_values<T> within(in_order) const { return {base, {}}; }
  KVSIFT_HOST_DEVICE KVSIFT_INLINE slot_values<T const, Places> read_only() const { return {base, places}; }
  /// Whether there are none.
  KVSIFT_HOST_DEVICE friend constexpr bool operator==(slot_values const& values, std::nullptr_t) { return values.base == nullptr; }
};

/// A column of a row: `width` elements a slot. Known: how many that are, where the compiler knows, else 0.
template <class T, std::uint32_t Known, class Places = in_order>
struct slot_elements {
  T* base = nullptr;
  std::uint32_t width = 0;
  Places places{};

  /// Elements of a slot.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE T* at(std::size_t slot) const { return base + places(slot) * (Known != 0 ? Known : width); }
  /// The element of a slot where it is known to be one, else a pointer to all of them.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE decltype(auto) operator[](std::size_t slot) const {
    if constexpr (Known == 1)
      return static_cast<T&>(*at(slot));
    else
      return at(slot);
  }
  /// A column whose width turned out to be 1: one page of it, or all.
  template <class Where>
  KVSIFT_HOST_DEVICE KVSIFT_INLINE slot_values<T> single(Where where) const { return slot_values<T, Places>{base, places}.within(where); }
};

/// Whether slots of one page lie together and those of a row do not.
template <class Places>
concept paged_places = requires(Places const& places, std::size_t slot) { places.page_of(slot); };

/// Calls f(where, begin, end, step) for this thread's slots of 0 .. n-1: in rows every step-th of all, in pages whole pages, and
/// `where` is their page_shift.
template <cooperative_group G, class Places, class F>
KVSIFT_HOST_DEVICE KVSIFT_INLINE void for_own_slots(G const& g, Places const& places, std::uint32_t n, F const& f) {
  if constexpr (paged_places<Places>) {
    std::uint32_t const stride = g.num_threads() * page_slots;
    for (std::uint32_t begin = g.thread_rank() * page_slots; begin < n; begin += stride)
      f(places.page_of(begin), begin, n - begin < page_slots ? n : begin + page_slots, std::uint32_t{1});
  } else {
    f(places, g.thread_rank(), n, g.num_threads());
  }
}

}  // namespace kvsift
