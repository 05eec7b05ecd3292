// A policy whose parts are chosen at run time is the same policy: outputs, columns and decisions bit for bit.
#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include <laws/scenario.hpp>
#include <support/policies.hpp>
#include <support/seeds.hpp>

TEST_CASE("every named policy at its own type is any_policy of it") {
  kvsift::cache_shape const shape{1, 2, 2, 9, 1};
  laws::u32 const budget = 10;
  support::for_each_named(budget, [&](char const* name, auto const& policy) {
    CAPTURE(std::string(name));
    support::for_each_seed(4, [&](std::uint64_t seed) {
      laws::scenario s;
      s.shape = shape;
      s.order = seed % 2 == 0 ? kvsift::layout::dense : kvsift::layout::slots;
      // Prompts that fit and that do not, later pieces that fit and that do not.
      s.pieces = seed <= 2 ? std::vector<laws::u32>{4, 3, 1, 1, 1, 1, 1, 4, 1, 1} : std::vector<laws::u32>{17, 1, 1, 1, 3, 1, 1};
      s.data = {seed, shape};
      kvsift::cache_options options = s.options();
      options.capacity = 40;
      auto const typed = laws::engine_for<kvsift::serial_executor>(shape, policy, options);
      auto const erased = laws::make_engine(shape, kvsift::to_any(policy), options);
      CHECK(laws::difference(laws::run({}, *erased, s), laws::run({}, *typed, s)) == "");
    });
  });
}

TEST_CASE("any_policy reports the facts and the columns of the policy that it holds") {
  support::for_each_named(12, [&](char const* name, auto const& policy) {
    CAPTURE(std::string(name));
    kvsift::any_policy const any = kvsift::to_any(policy);
    CHECK(any.facts().moments == policy.facts().moments);
    CHECK(any.facts().least_limit == policy.facts().least_limit);
    CHECK(any.columns().bytes_per_slot() == policy.columns().bytes_per_slot());
    CHECK(any.columns().asked() == policy.columns().asked());
    CHECK(any.carried().bytes_per_slot() == policy.carried().bytes_per_slot());
    CHECK(kvsift::to_any(policy) == any);
  });
}
