// expect: constant expression
#include <kvsift/kvsift.hpp>

// Two rules that ask for one column with different parameters are refused where the policy is a constant.
constexpr kvsift::policy mine{
    kvsift::uniform_budget{64}, kvsift::at_prompt_end(kvsift::pooled{kvsift::window_mass{16}, 5}, kvsift::protect{4}),
#ifndef MUST_COMPILE
    kvsift::at_prompt_end(kvsift::pooled{kvsift::window_mass{32}, 5}, kvsift::protect{4})};
#else
    kvsift::at_prompt_end(kvsift::pooled{kvsift::window_mass{16}, 5}, kvsift::protect{8})};
#endif
constexpr auto stored = mine.columns();
