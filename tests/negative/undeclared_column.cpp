// expect: kvsift: a part of a policy reads a column that it did not declare in columns\(\)
#include <kvsift/kvsift.hpp>

struct forgetful {
  static constexpr auto columns() { return kvsift::column_set<kvsift::attention_sum>{}; }
  float operator()(auto const& row, std::uint32_t slot) const {
#ifndef MUST_COMPILE
    return row.template get<kvsift::last_attention>()[slot];
#else
    return row.template get<kvsift::attention_sum>()[slot];
#endif
  }
};

void decide() {
  kvsift::kv_tensor cache{kvsift::cache_shape{}, kvsift::policy{kvsift::uniform_budget{8}, kvsift::making_room(forgetful{}, kvsift::protect{})}};
  kvsift::append(kvsift::serial_executor{}, cache[0], nullptr, nullptr);
}
