// expect: score_source
#include <kvsift/kvsift.hpp>

struct silent {
  static constexpr auto columns() { return kvsift::column_set<>{}; }
#ifdef MUST_COMPILE
  float operator()(auto const&, std::uint32_t) const { return 0; }
#else
  void operator()(auto const&, std::uint32_t) const {}
#endif
};

auto const mine = kvsift::making_room(silent{}, kvsift::protect{});
