#pragma once
// What eviction and fewer bits save, as cold-compress counts it, and with all that it leaves out.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <common/storage.hpp>

namespace programs {

// Parts of a full cache that are saved: 1 - slots held x bytes of a slot / (tokens x heads x bytes of a slot of a full cache),
// whose K and V are stored as `storage` says, or in 16 bits where that has fewer. 0: nothing; below 0: bookkeeping takes more.
struct compression {
  double vectors = 0;  // components of K and V alone
  double all = 0;      // scales, positions, ranks and columns on both sides
};

// held: slots in use, of all layers and heads together; tokens: seen, times layers and heads. bookkeeping: bytes a slot beside K
// and V; that of a full cache is its position.
inline compression compression_of(std::uint64_t held, std::uint64_t tokens, std::string_view storage, std::uint32_t head_dim,
                                  std::size_t bookkeeping) {
  std::size_t const stored = vector_bytes(storage, head_dim);
  std::size_t const full = storage == "fp32" ? stored : vector_bytes("fp16", head_dim);
  std::size_t const bits = storage == "int8" ? 8 : storage == "int4" ? 4 : storage == "int2" ? 2 : 0;
  double const codes = bits == 0 ? static_cast<double>(stored) : static_cast<double>(bits * head_dim) / 8;
  double const slots = static_cast<double>(held), all = static_cast<double>(tokens);
  double const position = sizeof(std::uint32_t);
  return {1 - slots * codes / (all * static_cast<double>(full)),
          1 - slots * static_cast<double>(2 * stored + bookkeeping) / (all * (2 * static_cast<double>(full) + position))};
}

}  // namespace programs
