// expect: ranked_scope
#include <kvsift/kvsift.hpp>

#ifndef MUST_COMPILE
auto const mine = kvsift::over_budget(kvsift::mean_attention{}, kvsift::protect{}, kvsift::accumulated_attention{});
#else
auto const mine = kvsift::over_budget(kvsift::mean_attention{}, kvsift::protect{}, kvsift::most_varying{2});
#endif
