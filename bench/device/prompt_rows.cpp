// compress, attention_mass: of prompts. select: over many rows, by the library and by CUB. move, turn: slots of many rows. Units are prompts and passes.
#include <functional>
#include <memory>
#include <string>

#include <bench/device/prompt.hpp>
#include <bench/device/rows.hpp>
#include <bench/device/running.hpp>

namespace bench {

namespace {

void cut(benchmark::State& state, prompt_case const& c, bool whole) {
  own_stream const stream;
  std::unique_ptr<prompts> const work = make_prompts(stream.value, c, limits_of_device().l2_bytes);
  pass_times const t = one_by_one(stream.value, [&] { work->next(); }, [&] { whole ? work->compress() : work->mass(); });
  report(state, t, 1, whole ? c.bytes() : c.key_bytes() + c.mass_bytes());
  state.counters["attention_flops"] = c.attention_flops();
}

using selection_maker = std::function<std::unique_ptr<row_selection>(cudaStream_t)>;

void select(benchmark::State& state, select_case const& c, selection_maker const& make) {
  own_stream const stream;
  auto const sets = static_cast<std::size_t>(5 * limits_of_device().l2_bytes / c.bytes()) + 1, scores = std::size_t{c.rows} * c.length;
  device_floats const from(stream.value, sets * scores, 0, 1);
  std::unique_ptr<row_selection> const rows = make(stream.value);
  auto const all = [&] {
    for (std::size_t i = 0; i < sets; ++i) rows->select(from.data() + i * scores);
  };
  pass_times const t = rows->waits() ? one_by_one(stream.value, [] {}, all) : replayed(stream.value, all);
  report(state, t, static_cast<double>(sets), c.bytes());
}

void move(benchmark::State& state, move_case const& c, bool turns) {
  own_stream const stream;
  std::unique_ptr<moving_rows> const rows = turns ? make_turning_rows(stream.value, c) : make_moving_rows(stream.value, c);
  pass_times const t = replayed(stream.value, [&] { rows->move(); });
  report(state, t, 1, turns ? 2.0 * c.rows * c.held * c.head_dim * 4 : c.bytes());
}

void gather(benchmark::State& state, std::size_t vectors) {
  constexpr std::size_t each = 256;
  own_stream const stream;
  device_floats const from(stream.value, vectors * each / 4, -1, 1), to(stream.value, vectors * each / 4), index(stream.value, vectors);
  auto* const kept = reinterpret_cast<std::uint32_t*>(index.data());
  enqueue_indices(stream.value, kept, vectors);
  pass_times const t = replayed(stream.value, [&] { enqueue_gather(stream.value, to.data(), from.data(), kept, vectors, each); });
  report(state, t, 1, static_cast<double>(vectors) * (2 * each + 4));
}

}  // namespace

void add_prompt_rows() {
  for (std::uint32_t const tokens : {2048u, 8192u, 32768u, 131072u})
    for (std::uint32_t const budget : {1024u, 2048u}) {
      prompt_case const c{tokens, budget};
      if (budget < tokens) add_row(c.name(), [c](benchmark::State& state) { cut(state, c, true); });
      if (budget == 1024)
        add_row("attention_mass/D128/g4/L" + std::to_string(tokens), [c](benchmark::State& state) { cut(state, c, false); });
    }
  for (select_case const& c : select_matrix()) {
    add_row(c.name(), [c](benchmark::State& state) { select(state, c, [c](cudaStream_t on) { return make_row_selection(on, c); }); });
    if (c.count != 256) continue;  // a sort does not ask how many
    for (cub_sort const how : {cub_sort::segmented_radix, cub_sort::segmented})
      add_row(c.sorted_name(how == cub_sort::segmented_radix ? "select_cub_radix_sort" : "select_cub_segmented_sort"),
              [=](benchmark::State& state) { select(state, c, [=](cudaStream_t on) { return make_cub_selection(on, c, how); }); });
  }
  for (std::uint32_t const held : {2048u, 8192u}) {
    for (bool const keeps_order : {false, true}) {
      move_case const c{keeps_order, 512, held};
      add_row(c.name(), [c](benchmark::State& state) { move(state, c, false); });
    }
    move_case const c{false, 512, held};
    add_row("turn/fp32/D128/B" + std::to_string(held) + "/rows512", [c](benchmark::State& state) { move(state, c, true); });
  }
  for (std::size_t const vectors : {std::size_t{1} << 20, std::size_t{1} << 23})
    add_row("gather/D128/n" + std::to_string(vectors), [=](benchmark::State& state) { gather(state, vectors); });
}

}  // namespace bench
