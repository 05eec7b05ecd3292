// model: the reference model's decode step, captured once, with the token that follows picked on the device. Units are tokens.
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include <bench/device/rows.hpp>
#include <bench/device/running.hpp>
#include <reference_model/cuda/cuda_transformer.hpp>

namespace bench {

namespace {

/// Numbers that bf16 holds, of the size that keeps a residual stream where it is.
void draw(reference_model::floats& to, std::size_t count, float size, std::uint32_t& seed) {
  to = reference_model::floats(count);
  for (std::size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    float const x = size * (static_cast<float>(seed >> 8) * 0x1p-23f - 1);
    to.data()[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xffff0000u);
  }
}

reference_model::model random_model(model_case const& c) {
  reference_model::model m;
  m.config.layers = c.layers, m.config.dim = c.dim, m.config.heads = c.heads, m.config.kv_heads = c.kv_heads;
  m.config.head_dim = c.head_dim, m.config.hidden = c.hidden, m.config.vocab = c.vocab;
  m.config.max_positions = 1u << 20;
  m.config.tied = true;
  std::uint32_t seed = 20240607;
  std::size_t const dim = c.dim, queries = std::size_t{c.heads} * c.head_dim, keys = std::size_t{c.kv_heads} * c.head_dim;
  auto const ones = [&](reference_model::floats& to) {
    to = reference_model::floats(dim);
    for (std::size_t i = 0; i < dim; ++i) to.data()[i] = 1;
  };
  draw(m.embedding, c.vocab * dim, 1, seed);
  ones(m.final_norm);
  m.layers.resize(c.layers);
  for (reference_model::layer_weights& w : m.layers) {
    ones(w.attention_norm);
    ones(w.feed_norm);
    draw(w.query, queries * dim, 0.03f, seed);
    draw(w.key, keys * dim, 0.03f, seed);
    draw(w.value, keys * dim, 0.03f, seed);
    draw(w.output, dim * queries, 0.03f, seed);
    draw(w.gate, c.hidden * dim, 0.03f, seed);
    draw(w.up, c.hidden * dim, 0.03f, seed);
    draw(w.down, dim * c.hidden, 0.03f, seed);
  }
  return m;
}

class model_cache final : public reference_model::stream_cache {
 public:
  explicit model_cache(running& cache) : cache_(cache) {}
  kvsift::keys_are keys_are() const override { return kvsift::keys_are::encoded; }
  void step(reference_model::on_stream, std::uint32_t layer, kvsift::arrivals const& piece, float* out) override { cache_.step(layer, piece, out); }
  void evict(reference_model::on_stream) override { cache_.evict(); }

 private:
  running& cache_;
};

std::size_t memory_free() {
  std::size_t available = 0, total = 0;
  check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo");
  return available;
}

/// Of `tokens` replays, in tenths: the last tenth's time against the first's, and what of the memory went in between.
pass_times long_text(benchmark::State& state, cudaStream_t stream, counted_graph const& step, running& cache, std::uint32_t tokens) {
  stopwatch watch;
  std::vector<double> tenths;
  std::size_t const before = memory_free();
  for (int tenth = 0; tenth < 10; ++tenth)
    tenths.push_back(watch.seconds(stream, [&] {
      for (std::uint32_t t = 0; t < tokens / 10; ++t) {
        cache.replayed();
        step.launch(stream);
      }
    }) / (tokens / 10));
  state.counters["last_to_first"] = tenths.back() / tenths.front();
  state.counters["memory_taken"] = static_cast<double>(before) - static_cast<double>(memory_free());
  return {quartiles(tenths), step.kernels, step.others};
}

void measure(benchmark::State& state, model_case const& c) {
  own_stream const stream;
  reference_model::model const m = random_model(c);
  reference_model::cuda_transformer decoder({stream.value, block_threads}, m);
  token_pool pool(stream.value);
  kvsift::cache_shape const shape{c.layers, c.kv_heads, c.heads / c.kv_heads, c.head_dim, 1};
  std::unique_ptr<running> const held = make_running(stream.value, c.cache(), shape, pool);
  model_cache cache(*held);
  std::uint32_t const token = 1, position = c.held;
  decoder.take(&token, &position, 1);
  auto const step = [&] {
    decoder.run(cache, 1);
    decoder.pick(1);
  };
  step();  // cuBLAS loads its kernels
  check(cudaStreamSynchronize(stream.value), "cudaStreamSynchronize of a first token");
  if (c.tokens == 0) {
    report(state, replayed(stream.value, step, [&] { held->replayed(); }), 1, c.bytes());
  } else {
    counted_graph const graph(stream.value, step);
    graph.launch(stream.value);
    report(state, long_text(state, stream.value, graph, *held, c.tokens), 1, c.bytes());
  }
}

}  // namespace

void add_model_rows() {
  std::vector<model_case> cases;
  for (policy_kind const k : {policy_kind::none, policy_kind::roco, policy_kind::tova})
    for (std::uint32_t const held : {2048u, 8192u}) cases.push_back({.policy = k, .held = held});
  cases.push_back({.policy = policy_kind::roco, .held = 2048, .tokens = 100000});
  cases.push_back({"tiny", 4, 256, 8, 4, 32, 768, 512, policy_kind::roco, 512, 100000});
  for (model_case const& c : cases) add_row(c.name(), [c](benchmark::State& state) { measure(state, c); });
}

}  // namespace bench
