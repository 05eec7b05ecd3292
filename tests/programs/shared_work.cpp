// Processes that share work: which of them see which GPU, and what is said when one goes wrong.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <common/shared_work.hpp>
#include <support/files.hpp>

#include "process.hpp"
#include "tiny_model.hpp"

namespace {

using programs::share_work;
using programs::shared_counts;

std::string visible() {
  char const* const seen = std::getenv("CUDA_VISIBLE_DEVICES");
  return seen == nullptr ? "unset" : seen;
}

// What each process saw: "DEVICE first" or "DEVICE", and whether it was this one.
std::multiset<std::string> seen_by(std::size_t processes, std::vector<std::uint32_t> const& devices) {
  temporary_folder const folder;
  pid_t const here = ::getpid();
  share_work(processes,
             [&](shared_counts&, bool first) {
               std::ofstream(folder / std::to_string(::getpid()))
                   << visible() << (first ? " first" : "") << (::getpid() == here ? " here" : "");
             },
             devices);
  std::multiset<std::string> all;
  for (auto const& file : std::filesystem::directory_iterator(folder / "")) {
    std::ifstream in(file.path());
    all.insert({std::istreambuf_iterator<char>(in), {}});
  }
  return all;
}

TEST_CASE("each process sees one GPU, and this one looks for none") {
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  using all = std::multiset<std::string>;
  CHECK(seen_by(3, {}) == all{"unset first here", "unset", "unset"});
  CHECK(seen_by(1, {4, 0, 2}) == all{"4 first", "0", "2"});
  CHECK(seen_by(1, {1}) == all{"1 first"});
  CHECK(visible() == "unset");
}

TEST_CASE("a process of a GPU that goes wrong is heard") {
  auto const wrong = [](shared_counts&, bool first) {
    if (!first) throw programs::usage_error("the second has no GPU");
  };
  CHECK_THROWS_WITH_AS(share_work(1, wrong, {0, 1}), "the second has no GPU", programs::usage_error);
  auto const lost = [](shared_counts&, bool) { ::_exit(7); };
  CHECK_THROWS_WITH_AS(share_work(1, lost, {0}), doctest::Contains("--devices: a process ended with status 7"), programs::usage_error);
}

TEST_CASE("lab takes GPUs for runs on a GPU alone, in place of jobs") {
  tiny_model const model;
  auto const lab = [&](std::vector<std::string> more) {
    std::vector<std::string> all{"--model", model.path(), "--policy", "tova", "--budget", "32", "--length", "200", "--prompts", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return run_program("lab", all);
  };
  finished const host = lab({"--devices", "0,1"});
  CHECK(host.status == 2);
  CHECK(host.err == "lab: --devices is given, and no run is on a GPU; give --executor cuda\n");
  CHECK(lab({"--devices", "0", "--jobs", "2"}).err == "lab: --jobs excludes --devices; see --help\n");
  CHECK(lab({"--devices", "-1"}).status == 2);
  CHECK(lab({"--executor", "cuda", "--jobs", "2"}).status == 2);
  if (::access("/dev/nvidiactl", F_OK) != 0) {  // their children find no GPU
    finished const none = lab({"--executor", "cuda", "--devices", "0,1"});
    CHECK(none.status == 2);
    CHECK(none.err.find("--executor is cuda; ") != std::string::npos);
  }
}

}  // namespace
