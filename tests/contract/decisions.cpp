// Who models score_source and ranked_scope: one line each, and one for a hostile type.
#include <doctest/doctest.h>

#include <contract/hostile.hpp>
#include <contract/suites.hpp>

using namespace contract;

TEST_CASE("scores") {
  decides_as_defined(kvsift::oldest_first{});
  decides_as_defined(kvsift::even_first{});
  decides_as_defined(kvsift::random_draw{5});
  decides_as_defined(kvsift::accumulated_attention{});
  decides_as_defined(kvsift::mean_attention{});
  decides_as_defined(kvsift::newest_query_attention{});
  decides_as_defined(kvsift::observed_mean{{3, false}});
  decides_as_defined(kvsift::observed_mean{{40, true}});
  decides_as_defined(kvsift::smallest_key_norm{});
  decides_as_defined(hostile::wild_score{});
}

TEST_CASE("scores that look at the arriving token") {
  makes_room_as_defined(kvsift::smallest_key_norm{});
  makes_room_as_defined(hostile::likeness{});
  for (u32 const bits : {4u, 8u, 16u, 24u, 32u, 41u, 48u, 56u, 64u}) {
    makes_room_as_defined(kvsift::hamming{{bits, 9}, false});
    makes_room_as_defined(kvsift::hamming{{bits, 9}, true});
  }
}

TEST_CASE("ranked scopes") {
  decides_as_defined(kvsift::mean_attention{}, kvsift::most_varying{4}, {2, 3, 7, 1});
  decides_as_defined(kvsift::oldest_first{}, hostile::wild_scope{3}, {1, 2});
  decides_as_defined(hostile::wild_score{}, hostile::wild_scope{9}, {2, 4});
}
