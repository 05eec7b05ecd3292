#pragma once
// How the budget of a policy is divided among layers and heads, as a policy file says: "allocator".
#include <cstddef>
#include <cstdint>
#include <string>

#include <kvsift/core/shape.hpp>
#include <kvsift/policy/catalogue.hpp>

namespace programs {

// How the budget is divided: "allocator" of a policy file, a name or an object with a name and what that allocator takes.
struct allocator_request {
  std::string name = "uniform";  // uniform, pyramid, headkv, cokv, duo_attention, cold_compress_pyramid, cold_compress_funnel
  std::string scores;            // file of head scores: headkv, cokv, duo_attention
  std::size_t task = 0;          // of a .npy file with several
  double beta = 0;               // 0: the allocator's own
  double temperature = 1;        // headkv
  std::uint32_t border = 20;     // cokv
  double sparsity = 0.5;         // duo_attention
  bool published = false;        // "profile": exact or published
  std::uint32_t longest = 0;     // cold_compress_*: tokens of the longest sequence, beyond which slots are of no use; 0: no bound
};

// The policy for a cache of this shape: its budget b becomes the mean of what the heads have,
// its `slots` the most that one of them has. Reads the file of head
// scores. Throws bad_file or bad_argument.
kvsift::catalogue_policy allocated(kvsift::catalogue_policy policy, allocator_request const& asked, kvsift::cache_shape const& shape);

}  // namespace programs
