// Ratios that performance goals are made of, each from samples taken in alternation: what disturbs one side of a pair
// disturbs the other, and the median of the ratios of pairs is steadier than the ratio of two times.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <bench/common/floors.hpp>
#include <bench/common/running_cache.hpp>
#include <common/arguments.hpp>
#include <common/errors.hpp>
#include <common/json_output.hpp>
#include <common/table.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/policy/named.hpp>
#include <support/allocations.hpp>

namespace {

struct settings {
  std::vector<std::uint32_t> budgets{512, 2048, 8192};
  std::vector<std::uint32_t> threads{1, 2};
  std::uint32_t head_dim = 128;
  std::uint32_t rounds = 21;
  bool processor_time = false;
};

struct goal {
  char const* name;
  char const* what;
  double must;
  double should;
};
constexpr goal roco_to_floor{"C1", "roco step / reading K and V", 1.35, 1.20};
constexpr goal roco_to_attention{"C2", "roco step / attention alone", 1.08, 1.05};
constexpr goal sum_to_attention{"C2", "accumulated_attention step / attention alone", 1.08, 1.05};
constexpr goal turn_to_copy{"C8", "keys turned by a position / copied", 1.2, 1.1};
constexpr goal bf16_to_fp32{"C9", "roco step in bf16 / in fp32", 0.65, 0.55};
constexpr goal allocations{"C11", "allocations in a step", 0, 0};

struct row {
  goal target;
  std::uint32_t budget;
  std::uint32_t threads;
  double lower, median, upper;  // quartiles
  double milliseconds;          // one layer's step: median of the side that is judged
};

row judge(goal const& g, std::uint32_t budget, std::uint32_t threads, std::vector<double> const& times,
          std::vector<double> const& against, double layers) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < times.size(); ++i) ratios.push_back(times[i] / against[i]);
  std::sort(ratios.begin(), ratios.end());
  std::size_t const n = ratios.size();
  return {g, budget, threads, ratios[n / 4], ratios[n / 2], ratios[n - 1 - n / 4], bench::median(times) / layers * 1e3};
}

// Turns the keys of a row in place, as rerotated_positions does when a token goes.
struct turn_task {
  kvsift::rotary_view table;
  std::byte* keys;
  std::size_t row_bytes;
  std::uint32_t head_dim;

  void operator()(auto const&, std::uint32_t row) const {
    auto* const first = reinterpret_cast<float*>(keys + row * row_bytes);
    for (std::size_t i = 0; i < row_bytes / sizeof(float); i += head_dim) table.turn(first + i, 1, -1);
  }
};

void measure(settings const& ask, std::uint32_t budget, std::vector<row>& rows) {
  using namespace kvsift;
  cache_shape shape{.kv_heads = 32, .head_dim = ask.head_dim};
  shape.layers = bench::layers_of(std::size_t{shape.kv_heads} * budget * 2 * shape.head_dim * sizeof(float));
  std::uint32_t const third = budget * 3 / 10;
  auto const roco_policy = roco(budget, third > 9 ? third - 9 : 0);
  auto const sum_policy = accumulated_attention_policy(budget, third);
  bench::running_cache<decltype(full()), fp32_payload> plain(full(), shape, budget);
  bench::running_cache<decltype(sum_policy), fp32_payload> sums(sum_policy, shape, budget);
  bench::running_cache<decltype(roco_policy), fp32_payload> fused(roco_policy, shape, budget);
  bench::running_cache<decltype(roco_policy), bf16_payload> half(roco_policy, shape, budget);
  for (std::uint32_t l = 0; l < shape.layers; ++l) plain.append(serial_executor{}, l);  // as many slots as the others see

  auto const& planes = plain.cache().view();  // values lie behind keys
  std::size_t const block_bytes = planes.capacity * fp32_payload::bytes(shape.head_dim) / 512 * 512;
  std::vector<float> read(2 * shape.rows());
  double const layers = shape.layers;
  rotary_table const turns = rotary_table::of_digits({}, shape.head_dim);
  host_memory const copied(shape.rows() * block_bytes);
  auto const time = [&](auto const& body) { return ask.processor_time ? bench::processor_seconds(body) : bench::seconds(body); };
  for (std::uint32_t const threads : ask.threads) {
    parallel_executor const on(threads);
    std::vector<double> floor_times, attention_times, sum_times, roco_times, half_times, turn_times, copy_times;
    std::size_t taken = 0;
    for (std::uint32_t round = 0; round <= ask.rounds; ++round) {
      double const floor = time(
          [&] { on.launch(2 * shape.rows(), bench::read_task{planes.keys, block_bytes, read.data()}); });
      support::allocation_scope const scope;
      double const roco_step = time([&] { fused.step(on); });
      taken += scope.count();
      double const attention = time([&] { plain.attend(on); });
      double const sum_step = time([&] { sums.step(on); });
      double const half_step = time([&] { half.step(on); });
      double const turn = time([&] { on.launch(shape.rows(), turn_task{turns.view(), planes.keys, block_bytes, shape.head_dim}); });
      double const copy = time([&] { on.launch(shape.rows(), bench::streaming_copy_task{copied.data(), planes.keys, block_bytes}); });
      if (round == 0) continue;  // pages are touched now, threads awake
      floor_times.push_back(floor);
      attention_times.push_back(attention);
      roco_times.push_back(roco_step);
      sum_times.push_back(sum_step);
      half_times.push_back(half_step);
      turn_times.push_back(turn);
      copy_times.push_back(copy);
    }
    rows.push_back(judge(roco_to_floor, budget, threads, roco_times, floor_times, layers));
    rows.push_back(judge(roco_to_attention, budget, threads, roco_times, attention_times, layers));
    rows.push_back(judge(sum_to_attention, budget, threads, sum_times, attention_times, layers));
    rows.push_back(judge(turn_to_copy, budget, threads, turn_times, copy_times, layers));
    rows.push_back(judge(bf16_to_fp32, budget, threads, half_times, roco_times, layers));
    double const each = static_cast<double>(taken) / (ask.rounds + 1);
    rows.push_back({allocations, budget, threads, each, each, each, bench::median(roco_times) / layers * 1e3});
  }
}

void print(std::vector<row> const& rows) {
  programs::table table({"goal", "ratio", "budget", "threads", "must", "should", "lower", "median", "upper", "ms a layer", "holds"});
  for (row const& r : rows) {
    char const* const holds = r.median <= r.target.should ? "should" : r.median <= r.target.must ? "must" : "no";
    table.add({r.target.name, r.target.what, std::to_string(r.budget), std::to_string(r.threads),
               programs::fixed(r.target.must, 2), programs::fixed(r.target.should, 2), programs::fixed(r.lower, 3),
               programs::fixed(r.median, 3), programs::fixed(r.upper, 3), programs::fixed(r.milliseconds, 3), holds});
  }
  std::fputs(table.aligned().c_str(), stdout);
}

void print_json(std::vector<row> const& rows) {
  for (row const& r : rows) {
    std::string const line = programs::json_line({{"goal", r.target.name},
                                                  {"ratio", r.target.what},
                                                  {"budget", r.budget},
                                                  {"threads", r.threads},
                                                  {"must", r.target.must},
                                                  {"should", r.target.should},
                                                  {"lower", r.lower},
                                                  {"median", r.median},
                                                  {"upper", r.upper},
                                                  {"ms", r.milliseconds}});
    std::fputs(line.c_str(), stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return programs::run_main("bench_ratios", [&]() -> int {
    settings ask;
    bool json = false;
    bool names = false;
    programs::command_line line("Decode steps against their limits: 32 heads, fp32, random data beyond every cache of the processor");
    line.add("--budgets", ask.budgets, {64, 65536}, "Slots a head").shows_default();
    line.add("--threads", ask.threads, {1, 1024}, "Threads").shows_default();
    line.add("--head-dim", ask.head_dim, {8, 1024}, "Elements of a key").shows_default();
    line.add("--rounds", ask.rounds, {3, 10000}, "Pairs of samples").shows_default();
    line.add("--processor-time", ask.processor_time, "Time of the processor instead of the clock's: one thread on a busy machine");
    line.add("--json", json, "One object a line");
    line.add("--benchmark_list_tests{true}", names, "Name the goals and measure nothing");
    if (auto const done = line.parse(argc, argv)) return *done;
    if (names) {
      for (goal const& g : {roco_to_floor, roco_to_attention, sum_to_attention, turn_to_copy, bf16_to_fp32, allocations})
        std::printf("%s: %s\n", g.name, g.what);
      return 0;
    }
    std::vector<row> rows;
    for (std::uint32_t const budget : ask.budgets) measure(ask, budget, rows);
    json ? print_json(rows) : print(rows);
    return 0;
  });
}
