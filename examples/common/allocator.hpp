#pragma once
// How the budget of a policy is divided among layers and heads, as a policy file says: "allocator".
#include <cstdint>
#include <string>

#include <common/policy_json.hpp>
#include <kvsift/core/shape.hpp>
#include <kvsift/policy/catalogue.hpp>

namespace programs {

// The policy for a cache of this shape: its budget b becomes the mean of what the heads have. Reads the file of head
// scores. Throws bad_file or bad_argument.
kvsift::catalogue_policy allocated(kvsift::catalogue_policy policy, allocator_request const& asked, kvsift::cache_shape const& shape);

}  // namespace programs
