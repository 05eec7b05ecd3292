#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <kvsift/collective/attention.hpp>
#include <kvsift/core/config.hpp>

// Where the slots of a row lie in the planes of a cache. A placement is a type: the compiler resolves every address, and one
// text serves all. `places` tells where a slot lies; `grain` is what rows are made of, in slots.
namespace kvsift {

/// Slots of a row lie one behind another. A place is the slot itself: planes are handed out from where the row begins.
struct in_rows {
  using places = in_order;
  static constexpr bool paged = false;
  static constexpr std::uint32_t grain = 1;
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
  /// A column whose width turned out to be 1.
  KVSIFT_HOST_DEVICE KVSIFT_INLINE slot_values<T, Places> single() const { return {base, places}; }
};

}  // namespace kvsift
