#pragma once

#include <initializer_list>
#include <string>

#include <doctest/doctest.h>

#include <reference_model/io/bad_file.hpp>

/// What a bad_file said; "" if nothing was thrown. Anything else that is thrown fails the test.
template <class Load>
std::string complaint_of(Load const& load) {
  try {
    load();
  } catch (reference_model::bad_file const& bad) {
    return bad.what();
  }
  return "";
}

/// `load` must throw bad_file: one line that begins with `file`, has a limit or remedy after ';', and all `words`.
template <class Load>
void expect_bad_file(std::string const& file, std::initializer_list<char const*> words, Load const& load) {
  std::string const line = complaint_of(load);
  INFO("said: ", line);
  CHECK(line.rfind(file + ": ", 0) == 0);
  CHECK(line.size() <= 600);
  CHECK(line.find(';') != std::string::npos);
  for (char const c : line) CHECK((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
  for (char const* word : words) {
    INFO("must say: ", word);
    CHECK(line.find(word) != std::string::npos);
  }
}
