// expect: budget_allocator|constraints not satisfied for class template .policy
#include <kvsift/kvsift.hpp>

#ifndef MUST_COMPILE
kvsift::policy const mine{512, kvsift::making_room(kvsift::oldest_first{}, kvsift::protect{4})};
#else
kvsift::policy const mine{kvsift::uniform_budget{512}, kvsift::making_room(kvsift::oldest_first{}, kvsift::protect{4})};
#endif
