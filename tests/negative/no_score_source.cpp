// expect: score_source
#include <kvsift/kvsift.hpp>

struct wordless {  // says nothing about the columns that it reads
#ifdef MUST_COMPILE
  static constexpr auto columns() { return kvsift::column_set<>{}; }
#endif
  float operator()(auto const&, std::uint32_t) const { return 0; }
};

auto const mine = kvsift::over_budget(wordless{}, kvsift::protect{});
