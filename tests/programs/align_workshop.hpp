#pragma once
// What trainings of KV-Align's networks are tried on.

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <support/files.hpp>

#include "tiny_gpt2.hpp"

/// A text and a model to train on; every program's run.
struct workshop {
  tiny_gpt2 model;
  temporary_folder folder;
  std::string text;

  workshop() : text((folder / "text.txt").string()) {
    std::ofstream file(text);
    for (int i = 0; i < 60; ++i) file << "The quick brown fox number " << i * 37 % 101 << " jumps over " << i << " lazy dogs. ";
  }
  std::vector<std::string> training(std::string const& out, std::vector<std::string> const& more = {}) const {
    std::vector<std::string> a{"--model", model.path(), "--text", text, "--out", out, "--windows", "24", "--held-out", "3", "--shard", "8", "--epochs", "2", "--batch", "128",
                "--units", "16,16", "--learning-rate", "0.003"};
    for (std::size_t i = 0; i + 1 < more.size(); i += 2) {
      auto const given = std::find(a.begin(), a.end(), more[i]);
      if (given != a.end()) *(given + 1) = more[i + 1];
      else a.insert(a.end(), {more[i], more[i + 1]});
    }
    return a;
  }
};
