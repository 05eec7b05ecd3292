// expect: kvsift: any_policy holds two rules
#include <kvsift/kvsift.hpp>

constexpr kvsift::policy mine{kvsift::uniform_budget{64},
#ifndef MUST_COMPILE
                              kvsift::at_prompt_end(kvsift::even_first{}, kvsift::protect{}),
#endif
                              kvsift::at_prompt_end(kvsift::oldest_first{}, kvsift::protect{}),
                              kvsift::making_room(kvsift::oldest_first{}, kvsift::protect{})};
auto const any = kvsift::to_any(mine);
