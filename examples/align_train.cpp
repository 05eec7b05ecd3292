// Trains KV-Align's two networks for a model, from a text: what keys and values are with one token more
// before them, and what they are without it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <common/align_rollout.hpp>
#include <common/align_training.hpp>
#include <common/json_output.hpp>
#include <common/line_plot.hpp>
#include <common/output_file.hpp>
#include <common/progress.hpp>
#include <common/shared_options.hpp>
#include <common/table.hpp>
#include <kvsift/core/random.hpp>
#include <reference_model/io/json_text.hpp>

namespace {

using namespace programs;

struct arguments {
  shared_options shared;
  std::string text;
  std::uint32_t window = 0, stride = 32, sinks = 4, windows = 512, held_out = 8, shard = 64, epochs = 3, batch = 1024, rollouts = 0;
  std::vector<std::uint32_t> units{128, 128};
  double learning_rate = 8e-4;
  std::uint32_t search = 0;
  bool as_json = false;
};

void add_options(command_line& line, arguments& a) {
  line.help_column(26);
  line.add("--model", a.shared.model, "Model folder").required();
  line.add("--tokenizer", a.shared.tokenizer, "'bytes', or a tokenizer's file or folder (the model's own)");
  line.add("--text", a.text, "Text file (UTF-8); its end is held out").required();
  line.add("--out", a.shared.out, "Folder of the networks, made when missing; a training that was cut short goes on there").required();
  line.add("--window", a.window, "Tokens of a window (the model's positions, at most 256)");
  line.add("--stride", a.stride, "Tokens from one window to the next, where the text is long enough").shows_default();
  line.add("--windows", a.windows, "Windows to learn from").shows_default();
  line.add("--held-out", a.held_out, "Windows behind them that are only measured").shows_default();
  line.add("--sinks", a.sinks, "Tokens that never move").shows_default();
  line.add("--shard", a.shard, "Windows whose pairs are in memory at once; a round learns from as many pairs").shows_default();
  line.add("--epochs", a.epochs, "Times that every window is learned from").shows_default();
  line.add("--rollouts", a.rollouts, "Rounds behind the epochs that learn from what a cache holds in use: the networks repair what they did")
      .shows_default();
  line.add("--batch", a.batch, "Pairs of a step").shows_default();
  line.add("--units", a.units, {1, 4096}, "Of the two hidden layers").shows_default();
  line.add("--learning-rate", a.learning_rate, "At the beginning of the epochs and of the first round; it falls to nothing in a line, in each round as well").shows_default();
  line.add("--search", a.search, "Try N random choices of units, batch and learning rate on one shard each, and print how they did").shows_default();
  line.add("--seed", a.shared.seed, "Seed of everything that is drawn").shows_default();
  line.add("--executor", a.shared.executor, "serial, parallel or parallel:N threads").shows_default();
  line.add("--json", a.as_json, "Print the measurements as JSON lines in place of a table");
  line.example("align_train --model reference_model/checkpoint_gpt2 --text stories.txt --out networks --executor parallel\n"
               "generate --model reference_model/checkpoint_gpt2 --mode kv --align networks --budget 100 --tokens 1000\n"
               "--out gets keys_network.safetensors, values_network.safetensors, training.jsonl and loss.svg.");
}

// The mean squared errors after a shard: of what was trained on, before each step, and of what was held out.
struct measurement {
  std::uint64_t shard = 0;
  double keys = 0, values = 0, held_out_keys = 0, held_out_values = 0;
  double in_use_keys = 0, in_use_values = 0;  // of what a cache holds after many steps, on the text held out

  std::string json() const {
    return json_line({{"shard", shard}, {"keys", keys}, {"values", values}, {"held_out_keys", held_out_keys}, {"held_out_values", held_out_values},
                      {"in_use_keys", in_use_keys}, {"in_use_values", in_use_values}});
  }
};

std::vector<measurement> read_measurements(std::string const& path) {
  std::vector<measurement> all;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    reference_model::json const o = reference_model::parse_object(path, line);
    auto const number = [&](char const* field) {
      if (!o.contains(field) || !o[field].is_number()) throw reference_model::bad_file(path, std::string(field) + " is missing; remove the folder and train anew");
      return o[field].get<double>();
    };
    all.push_back({static_cast<std::uint64_t>(number("shard")), number("keys"), number("values"), number("held_out_keys"), number("held_out_values"),
                   number("in_use_keys"), number("in_use_values")});
  }
  return all;
}

// Begins of the windows, in the order in which they are learned from, and behind them those that are held out: they share no token.
std::vector<std::size_t> begins(arguments const& a, std::size_t tokens) {
  std::size_t const apart = a.held_out * std::size_t{a.window};
  std::size_t const last = tokens >= apart + a.window ? tokens - apart - a.window : 0;
  if (last == 0)
    throw usage_error("--text has " + std::to_string(tokens) + " tokens; " + std::to_string(apart + a.window + 1) + " are needed for the windows held out and one more");
  std::size_t const stride = std::max<std::size_t>(1, std::min<std::size_t>(a.stride, last / a.windows)), there = last / stride;
  if (there < a.windows)
    throw usage_error("--windows is " + std::to_string(a.windows) + "; the text has " + std::to_string(there) + ", give fewer or a longer text");
  kvsift::counter_random const draw{a.shared.seed};
  std::vector<std::size_t> all(there);
  for (std::size_t i = 0; i < there; ++i) all[i] = i * stride;
  for (std::uint32_t i = 0; i < a.windows; ++i) {
    auto const left = static_cast<float>(there - i);
    std::swap(all[i], all[i + std::min(there - i - 1, static_cast<std::size_t>(draw.uniform(i, 1) * left))]);
  }
  all.resize(a.windows);
  for (std::uint32_t i = 0; i < a.held_out; ++i) all.push_back(tokens - apart + std::size_t{i} * a.window);
  return all;
}

// Both kinds of pairs of some windows.
struct both {
  align_pairs keys, values;
};
both collect(arguments const& a, kvsift::parallel_executor const& on, loaded_model const& m, std::vector<std::uint32_t> const& tokens,
             std::span<std::size_t const> windows) {
  both pairs;
  std::vector<std::uint32_t> window(a.window);
  for (std::size_t const begin : windows) {  // each begins as a text does, with BOS where the tokenizer has it
    std::copy_n(tokens.begin() + static_cast<std::ptrdiff_t>(begin), a.window, window.begin());
    window[0] = tokens[0];
    add_pairs(on, m.model, window, a.sinks, pairs.keys, pairs.values);
  }
  return pairs;
}

// Adds the pairs of rollouts under the networks as they are by now.
void add_rollouts(kvsift::parallel_executor const& on, loaded_model const& m, std::uint32_t sinks, align_trainer const& keys, align_trainer const& values,
                  std::span<align_rollout const> rollouts, both& pairs) {
  kvsift::align_network const of_keys = keys.network(), of_values = values.network();
  for (align_rollout const& one : rollouts) add_rollout_pairs(on, m.model, {of_keys.view(), of_values.view(), sinks}, one, pairs.keys, pairs.values);
}

// The mean squared error of leaving everything as it is.
double unchanged(align_pairs const& p) {
  double sum = 0;
  for (std::size_t i = 0; i < p.from.size(); ++i) sum += static_cast<double>((p.from[i] - p.to[i]) * (p.from[i] - p.to[i]));
  return sum / static_cast<double>(p.from.size());
}

// One pass over a shard in random order; the mean error before its steps. rate(step) of the whole training.
template <class Rate>
double learn(kvsift::parallel_executor const& on, align_trainer& net, align_pairs const& pairs, std::uint32_t batch, std::uint64_t seed, Rate const& rate) {
  std::vector<std::uint32_t> order(pairs.size());
  std::iota(order.begin(), order.end(), 0u);
  kvsift::counter_random const draw{seed};
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    auto const left = static_cast<float>(order.size() - i);
    std::swap(order[i], order[i + std::min(order.size() - i - 1, static_cast<std::size_t>(draw.uniform(static_cast<std::uint32_t>(i), 2) * left))]);
  }
  double sum = 0;
  std::size_t steps = 0;
  for (std::size_t first = 0; first + batch <= order.size(); first += batch, ++steps) sum += net.step(on, pairs, {order.data() + first, batch}, rate(net.steps()));
  return sum / static_cast<double>(steps);
}

align_sizes sizes_of(arguments const& a, reference_model::config const& c) {
  align_sizes s;
  s.dim = c.head_dim;
  s.layers = c.layers;
  s.heads = c.kv_heads;
  s.positions = a.window - a.sinks - 1;
  s.wide = a.units[0];
  s.narrow = a.units[1];
  s.sinks = a.sinks;
  return s;
}

std::string loss_picture(std::vector<measurement> const& all, std::uint32_t rounds, double keys_unchanged, double values_unchanged) {
  line_plot plot;
  plot.title = "Training of KV-Align's networks";
  plot.x_label = rounds == 0 ? "shards learned from" : "shards learned from, the last " + std::to_string(rounds) + " by rollouts";
  plot.y_label = "mean squared error, held out; in use: after many steps";
  plot.log_y = true;
  plot.lines = {{"keys", {}, false}, {"values", {}, false}, {"keys in use", {}, false}, {"values in use", {}, false},
                {"keys unchanged", {{1, keys_unchanged}}, true}, {"values unchanged", {{1, values_unchanged}}, true}};
  for (measurement const& one : all) {
    plot.lines[0].points.emplace_back(one.shard, one.held_out_keys);
    plot.lines[1].points.emplace_back(one.shard, one.held_out_values);
    plot.lines[2].points.emplace_back(one.shard, one.in_use_keys);
    plot.lines[3].points.emplace_back(one.shard, one.in_use_values);
  }
  return draw(plot);
}

int search(arguments const& a, kvsift::parallel_executor const& on, loaded_model const& m, both const& pairs, both const& held_out) {
  kvsift::counter_random const draw{a.shared.seed + 77};
  table t({"units", "batch", "learning rate", "keys", "values"});
  progress shown("trials", a.search);
  std::string objects;
  for (std::uint32_t trial = 0; trial < a.search; ++trial) {
    auto const one_of = [&](std::uint32_t which, std::uint32_t count) { return std::min(count - 1, static_cast<std::uint32_t>(draw.uniform(trial, which) * static_cast<float>(count))); };
    arguments tried = a;
    tried.units = {32u << one_of(0, 4), 32u << one_of(1, 4)};
    tried.batch = static_cast<std::uint32_t>(std::min<std::size_t>(128u << one_of(2, 5), pairs.keys.size()));
    tried.learning_rate = 1e-4 * std::pow(100.0, static_cast<double>(draw.uniform(trial, 3)));
    double error[2];
    for (bool const values : {false, true}) {
      align_trainer net(sizes_of(tried, m.config()), a.shared.seed);
      align_pairs const& from = values ? pairs.values : pairs.keys;
      double const all = static_cast<double>(from.size() / tried.batch);
      learn(on, net, from, tried.batch, a.shared.seed, [&](std::uint64_t step) { return tried.learning_rate * (1 - static_cast<double>(step) / all); });
      error[values] = net.error(on, values ? held_out.values : held_out.keys);
    }
    t.add({std::to_string(tried.units[0]) + "," + std::to_string(tried.units[1]), std::to_string(tried.batch), fixed(tried.learning_rate * 1e4, 3) + "e-4",
           fixed(error[0], 6), fixed(error[1], 6)});
    objects += json_line({{"units", tried.units}, {"batch", tried.batch}, {"learning_rate", tried.learning_rate}, {"held_out_keys", error[0]}, {"held_out_values", error[1]}});
    shown.at(trial + 1);
  }
  shown.clear();
  print_now(a.as_json ? objects : t.aligned());
  return 0;
}

int train(arguments a) {
  std::string const words = read_text_file("--text", a.text);
  kvsift::parallel_executor const on(threads_of(a.shared.executor));
  loaded_model const m = load(a.shared);
  reference_model::config const& c = m.config();
  if (a.units.size() != 2) throw usage_error("--units is " + std::to_string(a.units.size()) + " numbers; give two, such as 128,128");
  if (a.window == 0) a.window = std::min(256u, c.max_positions);
  std::uint64_t const least = std::uint64_t{a.sinks} + 2, most = std::min(c.max_positions, 65536u);
  if (a.window > most || a.window < least) {
    if (least > most) throw usage_error("--sinks is " + std::to_string(a.sinks) + "; a window has at most " + std::to_string(most) + " tokens, give fewer");
    throw usage_error("--window is " + std::to_string(a.window) + "; give " + std::to_string(least) + " to " + std::to_string(most) + " tokens");
  }
  for (auto const& [name, value] : {std::pair{"--windows", a.windows}, {"--held-out", a.held_out}, {"--shard", a.shard}, {"--epochs", a.epochs}, {"--batch", a.batch}, {"--stride", a.stride}})
    if (value == 0) throw usage_error(std::string(name) + " is 0; give at least 1");
  if (a.rollouts > 1000000) throw usage_error("--rollouts is " + std::to_string(a.rollouts) + "; give at most 1000000");
  if (a.rollouts != 0 && a.search != 0) throw usage_error("--search tries what one step is learned with, and --rollouts is " + std::to_string(a.rollouts) + "; give one of them");
  std::uint64_t const pairs_a_window = std::uint64_t{c.layers} * c.kv_heads * (a.window - a.sinks - 1);
  a.shard = std::min(a.shard, a.windows);
  std::uint32_t const over = a.windows % a.shard, smallest = over != 0 ? over : a.shard;  // windows of the last shard
  if (a.batch > pairs_a_window * smallest)
    throw usage_error("--batch is " + std::to_string(a.batch) + "; the smallest shard has " + std::to_string(pairs_a_window * smallest) + " pairs, give fewer, or other --windows or --shard");
  if (!(a.learning_rate > 0) || a.learning_rate > 1) throw usage_error("--learning-rate is " + std::to_string(a.learning_rate) + "; give a number above 0 and up to 1");

  std::vector<std::uint32_t> const tokens = m.text->encode(words);
  std::vector<std::size_t> const windows = begins(a, tokens.size());
  both const held_out = collect(a, on, m, tokens, std::span(windows).subspan(a.windows));
  if (a.search != 0) return search(a, on, m, collect(a, on, m, tokens, std::span(windows).first(a.shard)), held_out);

  make_output_folder(a.shared.out);
  std::string const folder = a.shared.out + "/";
  align_trainer keys(sizes_of(a, c), a.shared.seed), values(sizes_of(a, c), a.shared.seed + 1);
  std::vector<measurement> done;
  if (std::filesystem::exists(folder + "state.safetensors")) {
    align_trainer::resume(folder + "state.safetensors", keys, values);
    done = read_measurements(folder + "training.jsonl");
  }
  std::uint64_t const shards = (a.windows + a.shard - 1) / a.shard, of_epochs = shards * a.epochs, all = of_epochs + a.rollouts;
  std::size_t const apart = a.held_out * std::size_t{a.window};
  std::span<std::uint32_t const> const seen(tokens.data(), tokens.size() - apart), unseen(tokens.data() + seen.size(), apart);
  // A round: windows as in a shard, a fourth as many, and rollouts for the rest.
  std::uint32_t const of_windows = (a.shard + 3) / 4;
  rollout_draw const drawn{a.window, a.sinks, c.layers * c.kv_heads, pairs_a_window * std::max(1u, a.shard - of_windows)};
  auto const rollouts_of = [&](std::uint64_t round) { return draw_rollouts(seen, drawn, a.shared.seed + 1000000 * (round + 1)); };
  std::vector<std::uint64_t> ends{0};  // steps by the end of each shard
  for (std::uint64_t s = 0; s < all; ++s) {
    std::uint64_t pairs = std::min<std::uint64_t>(a.shard, a.windows - s % shards * a.shard) * pairs_a_window;  // of the last, shorter one fewer
    if (s >= of_epochs) {
      pairs = pairs_a_window * of_windows;
      for (align_rollout const& one : rollouts_of(s - of_epochs)) pairs += one.looks.size() * drawn.rows * (one.budget - a.sinks);
    }
    ends.push_back(ends.back() + pairs / a.batch);
  }
  // In the epochs the rate falls to nothing once; so the rounds can be added to a training later. In a round it falls to nothing, too: what runs
  // the next rollouts does not tremble.
  auto const rate = [&](std::uint64_t step) {
    auto const part = [](std::uint64_t at, std::uint64_t begin, std::uint64_t end) { return 1 - static_cast<double>(at - begin) / static_cast<double>(end - begin); };
    if (step < ends[of_epochs]) return a.learning_rate * part(step, 0, ends[of_epochs]);
    auto const shard = static_cast<std::uint64_t>(std::upper_bound(ends.begin(), ends.end(), step) - ends.begin()) - 1;
    return a.learning_rate * part(shard, of_epochs, all) * part(step, ends[shard], ends[shard + 1]);
  };
  std::uint64_t next = static_cast<std::uint64_t>(std::find(ends.begin(), ends.end(), keys.steps()) - ends.begin());
  if (next > all || done.size() < next)
    throw usage_error("--out '" + a.shared.out + "' holds a training of other options; give these, or another folder");
  done.resize(next);
  align_rollout const in_use = measured_rollout(unseen, drawn);

  progress shown("shards", static_cast<long long>(all));
  for (; next < all; ++next) {
    shown.at(static_cast<long long>(next), done.empty() ? "" : "in use: keys " + fixed(done.back().in_use_keys, 6) + ", values " + fixed(done.back().in_use_values, 6));
    bool const round = next >= of_epochs;
    std::size_t const first = round ? (next - of_epochs) * of_windows % (a.windows - of_windows + 1) : next % shards * a.shard;
    both pairs = collect(a, on, m, tokens, std::span(windows).subspan(first, std::min<std::size_t>(round ? of_windows : a.shard, a.windows - first)));
    if (round) add_rollouts(on, m, a.sinks, keys, values, rollouts_of(next - of_epochs), pairs);
    measurement now{next + 1};
    now.keys = learn(on, keys, pairs.keys, a.batch, a.shared.seed + next, rate);
    now.values = learn(on, values, pairs.values, a.batch, a.shared.seed + next, rate);
    now.held_out_keys = keys.error(on, held_out.keys);
    now.held_out_values = values.error(on, held_out.values);
    both used;
    add_rollouts(on, m, a.sinks, keys, values, {&in_use, 1}, used);
    now.in_use_keys = keys.error(on, used.keys);
    now.in_use_values = values.error(on, used.values);
    done.push_back(now);
    output_file log("--out", folder + "training.jsonl");
    for (measurement const& one : done) log.write(one.json());
    log.commit();
    align_trainer::write_state(folder + "state.safetensors", keys, values);
  }
  shown.clear();
  keys.write(folder + "keys_network.safetensors");
  values.write(folder + "values_network.safetensors");
  output_file picture("--out", folder + "loss.svg");
  picture.write(loss_picture(done, a.rollouts, unchanged(held_out.keys), unchanged(held_out.values)));
  picture.commit();

  std::string objects;
  table t({"shards", "keys", "values", "keys held out", "values held out", "keys in use", "values in use"});
  t.add({"unchanged", "-", "-", fixed(unchanged(held_out.keys), 6), fixed(unchanged(held_out.values), 6), "-", "-"});
  for (measurement const& one : done) {
    objects += one.json();
    t.add({std::to_string(one.shard), fixed(one.keys, 6), fixed(one.values, 6), fixed(one.held_out_keys, 6), fixed(one.held_out_values, 6), fixed(one.in_use_keys, 6),
           fixed(one.in_use_values, 6)});
  }
  print_now(a.as_json ? objects : t.aligned());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("align_train", [&] {
    command_line line("Trains KV-Align's networks for a model: where its positions are a rotation, --positions in_cache undoes it exactly.");
    arguments a;
    add_options(line, a);
    if (auto const status = line.parse(argc, argv)) return *status;
    return train(a);
  });
}
