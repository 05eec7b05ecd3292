// The originals' cache configurations, under their own names: each file of examples/policies makes the policy it should.
#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <common/allocator.hpp>
#include <common/policy_choice.hpp>
#include <common/policy_file.hpp>
#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/policy/named.hpp>
#include <support/files.hpp>

namespace {

std::filesystem::path source() { return support::test_data().parent_path().parent_path(); }
std::filesystem::path folder() { return source() / "examples" / "policies"; }

kvsift::any_policy joined(auto const& prompt, auto const& decode) {
  return kvsift::join_phases({kvsift::to_any(prompt), true, 0}, {kvsift::to_any(decode), true, 0}).value;
}

}  // namespace

TEST_CASE("every policy file of the originals makes its policy, for any budget") {
  using namespace kvsift;
  for (std::uint32_t const budget : {30u, 500u}) {
    signature const code{16, 1};  // the seed of the run
    recipe_list windows, fastgen;
    windows.add({0, 0.1}).add({0, 0.1, 0.25}).add({0, 0.1, 0.5}).add({0, 0, 0, true});
    fastgen.add({1}).add({3}).add({3, 0, 0.3}).add({3, 0.3, 0.3}).add({0, 0, 0, true});
    std::uint32_t const tenth = budget / 10, three = budget * 3 / 10;
    mean_attention const mean;
    accumulated_attention const sum;
    most_varying const varying{tenth > 2 ? tenth - 2 : 0};
    std::uint32_t const excluded = three > 9 ? three - 9 : 0;
    std::map<std::string, any_policy> const wanted{
        {"cold_compress/full", to_any(full())},
        {"cold_compress/random", to_any(random_eviction(budget, 4, 10, 1))},
        {"cold_compress/recent_global", to_any(recent_global(budget, 4))},
        {"cold_compress/l2", to_any(key_norm(budget, 4, 10))},
        {"cold_compress/keep_it_odd", to_any(keep_it_odd(budget, 4, 10))},
        {"cold_compress/heavy_hitter", to_any(heavy_hitter(budget, 4, 10))},
        {"cold_compress/h2o", to_any(heavy_hitter(budget, 4, 10))},
        {"cold_compress/scissorhands", to_any(heavy_hitter(budget, 4, 10, 400, true))},
        {"cold_compress/debug_heavy_hitter", to_any(heavy_hitter(budget, 4, 10, 400, false))},
        {"cold_compress/lsh", to_any(lsh(budget, 4, 10, code))},
        {"cold_compress/lsh_16", to_any(lsh(budget, 4, 10, code))},
        {"cold_compress/debug_lsh_16", to_any(lsh(budget, 4, 10, code))},
        {"cold_compress/hybrid", to_any(hybrid(windows, 0.9, 4, 400))},
        {"cold_compress/fastgen", to_any(hybrid(fastgen, 0.9, 4, 400))},
        {"cokv/snapkv", to_any(snapkv(budget, 8, 7, pooling::max))},
        {"cokv/ada", to_any(ada_snapkv(budget, 8, 7, pooling::max, 0.2))},
        {"cokv/pyramid", to_any(snapkv(budget, 8, 7, pooling::max))},
        {"cokv/headkv", to_any(snapkv(budget, 8, 7, pooling::max))},
        {"cokv/cokv", to_any(snapkv(budget, 8, 7, pooling::max))},
        {"cold_compress/heavy_hitter_pyramid", to_any(heavy_hitter(budget, 4, 10))},
        {"cold_compress/heavy_hitter_funnel", to_any(heavy_hitter(budget, 4, 10))},
        {"easykv/full", to_any(full())},
        {"easykv/recency", to_any(streaming_llm(4, budget - 4))},
        {"easykv/random", to_any(random_eviction(budget, 0, 0, 1))},
        {"easykv/tova", joined(reference_strided(budget, 8, newest_query_attention{}, protect{4, tenth}), tova(budget))},
        {"easykv/h2o_head", joined(reference_strided(budget, 8, sum, protect{4, tenth}), accumulated_attention_policy(budget, three))},
        {"easykv/roco", joined(reference_strided(budget, 8, mean, protect{}, forced_then_varying{tenth + 12, 10, 4}),
                               reference_roco(budget, three + 1, 10))},
        {"easykv/h2o_head_std_avg", joined(strided(budget, 8, mean, protect{4, 10}, varying), roco(budget, excluded, 10))},
        {"easykv/h2o_head_avg", joined(strided(budget, 8, mean, protect{4, tenth}), mean_attention_policy(budget, three))},
        {"easykv/h2o_head_std",
         joined(strided(budget, 8, sum, protect{4, 10}, varying), accumulated_deviation(budget, excluded, 10))},
    };
    std::map<std::string, std::string> const allocators{{"cokv/pyramid", "pyramid"},
                                                        {"cokv/headkv", "headkv"},
                                                        {"cokv/cokv", "cokv"},
                                                        {"cold_compress/heavy_hitter_pyramid", "cold_compress_pyramid"},
                                                        {"cold_compress/heavy_hitter_funnel", "cold_compress_funnel"}};
    std::string const guide = support::read_file(source() / "docs" / "guide" / "policy_files.md");
    std::vector<std::string> files;
    for (auto const& entry : std::filesystem::recursive_directory_iterator(folder())) {
      if (entry.is_directory()) continue;
      std::string const name = entry.path().parent_path().filename().string() + "/" + entry.path().stem().string();
      CAPTURE(name);
      CHECK(entry.path().extension() == ".json");
      REQUIRE(wanted.count(name) == 1);
      bool const scored = name == "cokv/headkv" || name == "cokv/cokv";
      std::vector<std::string> const sets = scored ? std::vector<std::string>{"allocator.scores=scores.tsv"} : std::vector<std::string>{};
      programs::policy_choice const made =
          programs::choose_policy({.policy = entry.path().string(), .sets = sets, .budget = std::to_string(budget), .seed = 1});
      CHECK(made.made.value == wanted.at(name));
      CHECK(made.allocator.name == (allocators.count(name) != 0 ? allocators.at(name) : "uniform"));
      CHECK(guide.find("`" + name.substr(name.find('/') + 1) + "`") != std::string::npos);
      cache_shape const shape{8, 2, 2, 16, 1};
      if (!scored)
        CHECK_NOTHROW(kv_tensor<any_policy>::plan(shape, programs::allocated(made.made, made.allocator, shape).value, {.capacity = 600}));
      files.push_back(name);
    }
    CHECK(files.size() == wanted.size());
  }
}

TEST_CASE("cold-compress's layer patterns state their mean, and a budget overrides it") {
  for (char const* const name : {"heavy_hitter_pyramid", "heavy_hitter_funnel"}) {
    std::string const file = (folder() / "cold_compress" / name).string() + ".json";
    CHECK(programs::choose_policy({.policy = file}).slots() == 1024);
    CHECK(programs::choose_policy({.policy = file, .budget = "300"}).slots() == 300);
  }
}

TEST_CASE("shares of the budget: rounded down, then more or fewer") {
  using programs::parse_share;
  CHECK(parse_share("30%")->of(128) == 38);
  CHECK(parse_share("30% + 1")->of(128) == 39);
  CHECK(parse_share("30%-9")->of(29) == 0);
  CHECK(parse_share("100% - 4")->of(64) == 60);
  CHECK(parse_share("12.5%")->of(1000) == 125);
  CHECK(parse_share("0% + 7")->of(5) == 7);
  for (std::uint32_t budget = 1; budget < 3000; ++budget) {
    CHECK(parse_share("30%")->of(budget) == budget * 3 / 10);
    CHECK(parse_share("10%")->of(budget) == budget / 10);
  }
  for (char const* const none : {"", "%", "30", "30 %", "101%", "-3%", "3e1%", "30% * 2", "30% +", "30% + 1.5", "30%%", ".%", "1.2.3%", "30% + 9999999999"})
    CHECK(!parse_share(none));
}

TEST_CASE("shares in files and under --set: of the budget there is in the end, in either phase; a number overrides them") {
  using namespace kvsift;
  std::string const text = R"({"prompt": {"policy": "snapkv", "window": "25%", "kernel": 7, "pool": "max"},)"
                           R"( "decode": {"policy": "roco", "excluded": "10%", "newest": 2}, "budget": 40})";
  auto const made = [&](std::string const& file, std::vector<std::string> const& sets = {}, std::string const& budget = "") {
    return programs::choose_policy({.policy = "mine.json", .sets = sets, .budget = budget, .text = file}).made.value;
  };
  CHECK(made(text) == joined(snapkv(40, 10, 7, pooling::max), roco(40, 4, 2)));
  CHECK(made(text, {}, "80") == joined(snapkv(80, 20, 7, pooling::max), roco(80, 8, 2)));
  CHECK(made(text, {"decode.excluded=3", "prompt.window=50% - 1"}) == joined(snapkv(40, 19, 7, pooling::max), roco(40, 3, 2)));
  CHECK(programs::choose_policy({.policy = "roco", .sets = {"excluded=20%"}, .budget = "50"}).made.value == to_any(roco(50, 10, 10)));
  std::string const roco_file = R"({"policy": "roco", "excluded": "30%"})";
  CHECK_THROWS_WITH(made(roco_file), "mine.json: policy field 'excluded' is a share of the budget; give a budget");
  CHECK_THROWS_WITH(made(roco_file, {}, "9"),
                    doctest::Contains("policy field 'budget' is 9; newest 10 + excluded 2 leave no slot that may go"));
  CHECK_THROWS_WITH(made(R"({"policy": "roco", "budget": 9, "excluded": "much"})"),
                    doctest::Contains("policy field 'excluded' is \"much\"; give a whole number from 0 to 2147483646, or a share of the budget such as"));
  CHECK_THROWS_WITH(made(R"({"policy": "heavy_hitter", "budget": 9, "history": "30%"})"), doctest::Contains("policy field 'history' is \"30%\""));
  CHECK_THROWS_WITH(made(R"({"prompt": {"policy": "tova"}, "decode": {"policy": "tova"}, "budget": 9, "sinks": "10%"})"),
                    doctest::Contains("policy field 'sinks' belongs to no policy"));
}

TEST_CASE("headkv and cokv are names of their own, and say what they need") {
  CHECK_THROWS_WITH(programs::choose_policy({.policy = "cokv", .budget = "64"}),
                    "--policy cokv: policy field 'allocator.scores' is missing; cokv requires a file of head scores, give --set "
                    "allocator.scores=FILE or state it");
  CHECK_THROWS_WITH(programs::choose_policy({.policy = (folder() / "cokv" / "headkv.json").string(), .budget = "64"}),
                    doctest::Contains("policy field 'allocator.scores' is missing; headkv requires a file of head scores"));
  CHECK_THROWS_WITH(programs::choose_policy({.policy = "headkv", .sets = {"allocator.scores=s.json"}}), "--policy headkv needs a budget; give --budget N or P%");
  for (char const* const name : {"headkv", "cokv"}) {
    std::vector<std::string> const sets{"allocator.scores=s.json"};
    auto const by_name = programs::choose_policy({.policy = name, .sets = sets, .budget = "64"});
    auto const by_file = programs::choose_policy({.policy = (folder() / "cokv" / name).string() + ".json", .sets = sets, .budget = "64"});
    CHECK(by_name.name == name);
    CHECK(by_name.made.value == by_file.made.value);
    CHECK(by_name.allocator.name == by_file.allocator.name);
    CHECK(by_name.allocator.beta == by_file.allocator.beta);
    CHECK(by_name.allocator.border == by_file.allocator.border);
    CHECK(by_name.allocator.scores == "s.json");
  }
  auto const of = [](std::string const& set) {
    return programs::choose_policy({.policy = "headkv", .sets = {"allocator.scores=12.json", set}, .budget = "64"});
  };
  CHECK(of("allocator.beta=2").allocator.beta == 2);
  CHECK(of("allocator.profile=published").allocator.published);
  CHECK_THROWS_WITH(of("allocator.beta=half"), "--set allocator.beta: policy field 'allocator.beta' is \"half\"; give a number from 1 to 1e+06");
  CHECK_THROWS_WITH(of("allocator.border=3"), doctest::Contains("policy field 'allocator.border' is not one of headkv"));
}

TEST_CASE("tables tell a file from the policy of its name") {
  CHECK(programs::shown_name("roco") == "roco");
  CHECK(programs::shown_name("scissorhands") == "scissorhands");
  CHECK(programs::shown_name("l2") == "key_norm");
  CHECK(programs::shown_name("cokv") == "cokv");
  CHECK(programs::shown_name((folder() / "easykv" / "roco.json").string()) == "easykv/roco");
  CHECK(programs::shown_name("here/mine.json") == "mine");
}

TEST_CASE("a file of the originals without a budget asks for one") {
  CHECK_THROWS_WITH(programs::choose_policy({.policy = (folder() / "cold_compress" / "lsh.json").string()}),
                    doctest::Contains("policy field 'budget' is missing; lsh requires it"));
  CHECK_THROWS_WITH(programs::choose_policy({.policy = "h2o", .budget = "9"}), doctest::Contains("policy 'h2o' means two things; write"));
}
