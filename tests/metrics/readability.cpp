// Runs of ten words of which five are known, as KV-Align counts what is readable.

#include <string>

#include <doctest/doctest.h>

#include <common/metrics/readability.hpp>

namespace {

using namespace programs;

TEST_CASE("ten words are readable when five are known: in any case, by their stem, or as a sign") {
  known_words const known = words_of_list("the\nCat\nrun\n");
  CHECK(known.size() == 3);
  auto const counted = [&](std::string const& text) {
    readability const r = readability_of(text, known);
    return std::to_string(r.readable) + "/" + std::to_string(r.chunks);
  };
  CHECK(counted("the cat THE Cat the x1 x2 x3 x4 x5") == "1/1");
  CHECK(counted("the cat THE Cat x0 x1 x2 x3 x4 x5") == "0/1");
  CHECK(counted("running cats, runs! x1 x2 x3 x4 x5") == "1/1");      // three by their stem, and two signs
  CHECK(counted("running cats; runs: x1 x2 x3 x4 x5") == "0/1");      // ; and : do not count
  CHECK(counted("the cat the cat the x1 x2 x3 x4 x5 the cat the cat the x1 x2 x3 x4") == "1/1");  // nine are left
  CHECK(counted("the cat the cat the x1 x2 x3 x4 x5 x6 x7 x8 x9 x10 x11 x12 x13 x14 x15") == "1/2");
  CHECK(counted("") == "0/0");
  CHECK(readability{}.share() == 0);
}

}  // namespace
