// expect: constant expression|non-.constexpr. function
#include <kvsift/kvsift.hpp>

std::uint32_t measured_budget();

#ifndef MUST_COMPILE
constexpr auto mine = kvsift::roco(measured_budget(), 144);
#else
auto const mine = kvsift::roco(measured_budget(), 144);
#endif
