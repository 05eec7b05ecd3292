// What is saved, by cold-compress's numbers, and with bookkeeping.
#include <cmath>

#include <doctest/doctest.h>

#include <common/compression.hpp>

TEST_CASE("compression counts slots and bits as cold-compress does, and bookkeeping beside") {
  auto const vectors = [](std::uint64_t held, char const* storage) { return programs::compression_of(held, 128, storage, 128, 4).vectors; };
  CHECK(vectors(64, "fp16") == 0.5);
  CHECK(vectors(64, "fp32") == 0.5);
  CHECK(vectors(64, "int8") == 0.75);
  CHECK(vectors(64, "int4") == 0.875);
  CHECK(vectors(128, "bf16") == 0);
  CHECK(vectors(128, "int2") == 0.875);
  CHECK(std::fabs(programs::compression_of(10 + 20 + 30, 3 * 50, "fp16", 64, 4).vectors - 0.6) < 1e-12);

  CHECK(programs::compression_of(128, 128, "fp16", 64, 4).all == 0);
  CHECK(programs::compression_of(64, 128, "fp16", 64, 4).all == 0.5);
  CHECK(programs::compression_of(64, 128, "fp16", 64, 4 + 800).all < -0.01);  // scissorhands' floats of a history of 200
  CHECK(programs::compression_of(64, 128, "int8", 64, 4).all == doctest::Approx(1 - 0.5 * (2 * (64 + 8) + 4) / (2 * 128 + 4)));
}
