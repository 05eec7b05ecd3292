// One text, whoever executes it: outputs, columns and decisions bit for bit.
#include <doctest/doctest.h>

#include <laws/scenario.hpp>
#include <support/seeds.hpp>

TEST_CASE("serial, parallel and thread groups of any size agree bit for bit") {
  kvsift::parallel_executor const pool(3);
  support::for_each_seed(24, [&](std::uint64_t seed) {
    laws::scenario const s = laws::random_scenario(seed, 18);
    INFO(s.text());
    auto const serial = laws::make_engine(s.shape, s.policy.value(), s.options());
    laws::history const want = laws::run({}, *serial, s);
    auto const parallel = laws::make_engine(s.shape, s.policy.value(), s.options());
    CHECK(laws::difference(laws::run(pool, *parallel, s), want) == "");
    laws::u32 const sizes[] = {1, 2, 3, 5, 7, 33};
    laws::u32 const threads = sizes[seed % 6];
    CAPTURE(threads);
    auto const group = laws::make_engine(s.shape, s.policy.value(), s.options(threads));
    CHECK(laws::difference(laws::run(support::thread_group_executor{threads}, *group, s), want) == "");
  });
}

TEST_CASE("a group larger than every loop agrees, too") {
  support::for_each_seed(2, [&](std::uint64_t seed) {
    laws::scenario const s = laws::random_scenario(seed + 100, 10);
    INFO(s.text());
    auto const serial = laws::make_engine(s.shape, s.policy.value(), s.options());
    auto const group = laws::make_engine(s.shape, s.policy.value(), s.options(128));
    CHECK(laws::difference(laws::run(support::thread_group_executor{128}, *group, s), laws::run({}, *serial, s)) == "");
  });
}
