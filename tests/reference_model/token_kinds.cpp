// Kinds of token: what has no text but marks and blanks, what begins and ends a text, and the rest.
#include <doctest/doctest.h>

#include <reference_model/text/token_kinds.hpp>

TEST_CASE("bytes: marks and blanks are punctuation, BOS is special, letters and bytes of other scripts are ordinary") {
  reference_model::config c;
  c.vocab = 258;
  c.bos = 256;
  c.ends = {257};
  std::vector<std::uint8_t> const kinds = reference_model::token_kinds(reference_model::bytes_tokenizer(c));
  REQUIRE(kinds.size() == 258);
  for (int const mark : {' ', '\n', '.', '~', '_'}) CHECK(kinds[static_cast<std::size_t>(mark)] == 2);
  for (int const other : {int{'a'}, int{'0'}, 0x01, 0xc3}) CHECK(kinds[static_cast<std::size_t>(other)] == 0);
  CHECK(kinds[256] == 1);
  CHECK(kinds[257] == 1);
}
