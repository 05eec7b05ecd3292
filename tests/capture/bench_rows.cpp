// Rows of bench_device over a stand-in for the GPU: they run, count what they launch, and report what their cases say. Times are the host's.
#include <benchmark/benchmark.h>

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <bench/device/prompt.hpp>
#include <bench/device/rows.hpp>
#include <bench/device/running.hpp>

namespace {

struct kept_rows : benchmark::BenchmarkReporter {
  std::vector<Run> runs{};
  bool ReportContext(Context const&) override { return true; }
  void ReportRuns(std::vector<Run> const& report) override { runs.insert(runs.end(), report.begin(), report.end()); }
};

/// {name: row} of the rows that match.
std::map<std::string, kept_rows::Run> rows_of(std::string const& filter) {
  static bool const registered = [] {
    bench::add_decode_rows();
    bench::add_prompt_rows();
    return true;
  }();
  REQUIRE(registered);
  kept_rows kept;
  benchmark::RunSpecifiedBenchmarks(&kept, filter);
  std::map<std::string, kept_rows::Run> rows;
  for (kept_rows::Run const& run : kept.runs) {
    std::string const name = run.benchmark_name();
    REQUIRE(name.ends_with("/iterations:1/manual_time"));
    CHECK_MESSAGE(!run.error_occurred, name, ": ", run.error_message);
    rows[name.substr(0, name.rfind("/iterations"))] = run;
  }
  return rows;
}
double counter(kept_rows::Run const& run, char const* name) { return run.counters.at(name); }

}  // namespace

TEST_CASE("attention, steps and their gathers: two launches a layer, one for all evictions, and the bytes of the case") {
  std::string const tail = "/bf16/rows/D64/g4/B512/b1";
  auto const rows = rows_of("^(attention|step/none|step/roco|step_and_gather/roco)/bf16/rows/D(64|128)/g4/B512/b1/");
  CHECK(rows.size() == 8);
  for (bench::decode_case const& c : bench::decode_matrix()) {
    auto const found = rows.find(c.name());
    if (found == rows.end()) continue;
    CAPTURE(c.name());
    double const layers = c.layers(bench::limits_of_device().l2_bytes), launches = counter(found->second, "launches");
    double const evicts = c.policy == bench::policy_kind::roco ? 1 : 0, gathers = c.what == bench::part::step_and_gather ? 1 : 0;
    CHECK(counter(found->second, "units") == layers);
    CHECK(launches * layers == doctest::Approx(layers * (2 + gathers) + evicts));
    CHECK(counter(found->second, "not_launches") == 0);
    CHECK(counter(found->second, "bytes") == c.bytes());
    double const seconds = found->second.GetAdjustedRealTime() * 1e-6;
    CHECK(counter(found->second, "of_copy") == doctest::Approx(c.bytes() / seconds / 1e9).epsilon(1e-6));
    CHECK(counter(found->second, "lower_us") <= seconds * 1e6 * 1.0001);
  }
  CHECK(rows.contains("attention" + tail));
}

TEST_CASE("evictions of all layers are one launch for each victim; appends two a layer, one of which makes room, in full heads and in ragged ones") {
  auto const evicts = rows_of("^evict/(roco|key_norm)/bf16/rows/D64/g4/B512/b1/");
  CHECK(evicts.size() == 2);
  for (auto const& [name, row] : evicts) CHECK(counter(row, "launches") * counter(row, "units") == doctest::Approx(4));
  auto const appends = rows_of("^append/(key_norm|ragged)/bf16/rows/D64/g4/B512/b1/");
  CHECK(appends.size() == 2);
  for (auto const& [name, row] : appends) CHECK(counter(row, "launches") == 2);
}

TEST_CASE("a policy that was not compiled is a row with an error, and the others go on") {
  kept_rows kept;
  benchmark::RunSpecifiedBenchmarks(&kept, "^append/lsh_64/bf16/rows/D64/g4/B512/b1/");
  REQUIRE(kept.runs.size() == 1);
  CHECK(kept.runs[0].error_occurred);
  CHECK(kept.runs[0].error_message == "the stand-in has no caches of this policy");
}

TEST_CASE("prompts are cut one after another, and selections run over several sets") {
  auto const rows = rows_of("^(compress/snapkv/bf16/rows/D128/g4/L2048/C1024|attention_mass/D128/g4/L2048|select/r8/n2048/k256)/");
  CHECK(rows.size() == 3);
  bench::prompt_case const prompt{2048, 1024};
  CHECK(counter(rows.at(prompt.name()), "bytes") == prompt.bytes());
  CHECK(counter(rows.at(prompt.name()), "attention_flops") == prompt.attention_flops());
}

TEST_CASE("selections: one launch a set, or two where blocks share rows; sorts of the same rows beside them, on the stream where they wait") {
  auto const rows = rows_of("^select(_cub_(radix|segmented)_sort)?/r8/n(1024|131072)/(k256|iterations)");
  CHECK(rows.size() == 6);
  for (std::uint32_t const length : {1024u, 131072u}) {
    bench::select_case const c{8, length, 256};
    CAPTURE(length);
    CHECK(counter(rows.at(c.name()), "launches") == (length == 1024 ? 1 : 2));
    CHECK(counter(rows.at(c.sorted_name("select_cub_radix_sort")), "launches") == 1);
    CHECK(!rows.at(c.sorted_name("select_cub_segmented_sort")).counters.contains("launches"));
    for (auto const& [name, row] : rows)
      if (name.find("/n" + std::to_string(length)) != std::string::npos) CHECK(counter(row, "bytes") == c.bytes());
  }
}

TEST_CASE("slots leave and the rest moves, again and again; keys turn") {
  bench::own_stream const stream;
  for (bool const keeps_order : {false, true}) {
    auto const rows = bench::make_moving_rows(stream.value, {keeps_order, 8, 40, 4, 8});
    bench::pass_times const t = bench::replayed(stream.value, [&] { rows->move(); });
    CHECK(t.kernels == 1);
    CHECK(t.seconds.median > 0);
  }
  auto const turning = bench::make_turning_rows(stream.value, {false, 8, 40, 4, 8});
  CHECK(bench::replayed(stream.value, [&] { turning->move(); }).kernels == 1);
}
