// expect: slots lie in position order at prompt_end only
#include <kvsift/kvsift.hpp>

// A score that looks at neighbouring slots is asked at the end of a prompt, where slots lie in position order.
#ifndef MUST_COMPILE
auto const mine = kvsift::over_budget(kvsift::pooled{kvsift::window_mass{8}, 5}, kvsift::protect{4});
#else
auto const mine = kvsift::at_prompt_end(kvsift::pooled{kvsift::window_mass{8}, 5}, kvsift::protect{4});
#endif
