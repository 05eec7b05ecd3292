// The originals' cache configurations, under their own names: each file of examples/policies makes the policy it should.
#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <common/policy_choice.hpp>
#include <common/policy_file.hpp>
#include <kvsift/policy/named.hpp>
#include <support/files.hpp>

namespace {

std::filesystem::path folder() { return support::test_data().parent_path().parent_path() / "examples" / "policies"; }

}  // namespace

TEST_CASE("every policy file of the originals makes its policy, for any budget") {
  using namespace kvsift;
  for (std::uint32_t const budget : {30u, 500u}) {
    signature const code{16, 1};  // the seed of the run
    recipe_list windows, fastgen;
    windows.add({0, 0.1}).add({0, 0.1, 0.25}).add({0, 0.1, 0.5}).add({0, 0, 0, true});
    fastgen.add({1}).add({3}).add({3, 0, 0.3}).add({3, 0.3, 0.3}).add({0, 0, 0, true});
    std::map<std::string, any_policy> const wanted{
        {"cold_compress/full", to_any(full())},
        {"cold_compress/random", to_any(random_eviction(budget, 4, 10, 1))},
        {"cold_compress/recent_global", to_any(recent_global(budget, 4))},
        {"cold_compress/l2", to_any(key_norm(budget, 4, 10))},
        {"cold_compress/keep_it_odd", to_any(keep_it_odd(budget, 4, 10))},
        {"cold_compress/heavy_hitter", to_any(heavy_hitter(budget, 4, 10))},
        {"cold_compress/h2o", to_any(heavy_hitter(budget, 4, 10))},
        {"cold_compress/heavy_hitter_pyramid", to_any(heavy_hitter(budget, 4, 10))},  // its allocator divides the budget
        {"cold_compress/heavy_hitter_funnel", to_any(heavy_hitter(budget, 4, 10))},
        {"cold_compress/scissorhands", to_any(heavy_hitter(budget, 4, 10, 400, true))},
        {"cold_compress/debug_heavy_hitter", to_any(heavy_hitter(budget, 4, 10, 400, false))},
        {"cold_compress/lsh", to_any(lsh(budget, 4, 10, code))},
        {"cold_compress/lsh_16", to_any(lsh(budget, 4, 10, code))},
        {"cold_compress/debug_lsh_16", to_any(lsh(budget, 4, 10, code))},
        {"cold_compress/hybrid", to_any(hybrid(windows, 0.9, 4, 400))},
        {"cold_compress/fastgen", to_any(hybrid(fastgen, 0.9, 4, 400))},
        {"cokv/snapkv", to_any(snapkv(budget, 8, 7, pooling::max))},
        {"cokv/ada", to_any(ada_snapkv(budget, 8, 7, pooling::max, 0.2))},
    };
    std::vector<std::string> files;
    for (auto const& entry : std::filesystem::recursive_directory_iterator(folder())) {
      if (entry.is_directory()) continue;
      std::string const name = entry.path().parent_path().filename().string() + "/" + entry.path().stem().string();
      CAPTURE(name);
      CHECK(entry.path().extension() == ".json");
      REQUIRE(wanted.count(name) == 1);
      programs::policy_choice const made =
          programs::choose_policy({.policy = entry.path().string(), .budget = std::to_string(budget), .seed = 1});
      CHECK(made.made.value == wanted.at(name));
      files.push_back(name);
    }
    CHECK(files.size() == wanted.size());
  }
}

TEST_CASE("a file of the originals without a budget asks for one") {
  CHECK_THROWS_WITH(programs::choose_policy({.policy = (folder() / "cold_compress" / "lsh.json").string()}),
                    doctest::Contains("policy field 'budget' is missing; lsh requires it"));
  CHECK_THROWS_WITH(programs::choose_policy({.policy = "h2o", .budget = "9"}), doctest::Contains("policy 'h2o' means two things; write"));
}
