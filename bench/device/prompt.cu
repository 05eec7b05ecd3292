#include <bench/device/prompt.hpp>

#include <algorithm>
#include <utility>
#include <vector>

#include <bench/device/running.hpp>
#include <kvsift/collective/select_rows.hpp>
#include <kvsift/cuda/executor.cuh>
#include <kvsift/evict/attention_mass.hpp>
#include <kvsift/kvsift.hpp>

namespace bench {

namespace {

using namespace kvsift;
using u32 = std::uint32_t;

class snapkv_prompts final : public prompts {
  using cache_type = kv_tensor<decltype(snapkv(64)), bf16_payload, original_positions, dropped, in_rows, cuda::memory<>>;

 public:
  snapkv_prompts(cudaStream_t stream, prompt_case const& c, double l2)
      : shape_{1, c.kv_heads, c.group, c.head_dim, 1},
        case_(c),
        on_(stream, block_threads),
        cache_(shape_, snapkv(c.budget, c.window, 7), cache_options{.max_piece = c.tokens, .group_threads = block_threads}, cuda::memory<>(stream)),
        elements_(std::size_t{c.tokens} * c.kv_heads * c.head_dim),
        count_(static_cast<u32>(std::clamp(5 * l2 / c.key_bytes() + 1, 2.0, 64.0))),
        keys_(stream, elements_ * count_, -1.7f, 1.7f),
        values_(stream, elements_ * count_, -1.7f, 1.7f),
        queries_(stream, std::size_t{c.window} * c.kv_heads * c.group * c.head_dim, -1.7f, 1.7f),
        mass_(stream, std::size_t{c.kv_heads} * c.tokens),
        bytes_(attention_mass_bytes<cuda_executor>(shape_, given(), block_threads)),
        workspace_(stream, bytes_ / sizeof(float)) {}

  void next() override {
    cache_.clear();
    now_ = (now_ + 1) % count_;
  }
  void mass() override {
    attention_mass(on_, shape_, given(), mass_.data(), case_.tokens, reinterpret_cast<std::byte*>(workspace_.data()), bytes_, block_threads);
  }
  void compress() override {
    mass();
    kvsift::compress(on_, cache_[0], keys(), values_.data() + now_ * elements_, case_.tokens, {.window = mass_.data(), .pitch = case_.tokens});
  }

 private:
  float const* keys() const { return keys_.data() + now_ * elements_; }
  observation_window given() const { return {queries_.data(), keys(), case_.tokens, case_.window}; }

  cache_shape shape_;
  prompt_case case_;
  cuda_executor on_;
  cache_type cache_;
  std::size_t elements_;
  u32 count_, now_ = 0;
  device_floats keys_, values_, queries_, mass_;
  std::size_t bytes_;
  device_floats workspace_;
};

class verb_selection final : public row_selection {
 public:
  verb_selection(cudaStream_t stream, select_case const& c)
      : case_(c),
        on_(stream, block_threads),
        bytes_(select_rows_bytes(on_, rows(nullptr), block_threads)),
        workspace_(stream, bytes_ / sizeof(float)),
        cuts_(stream, c.rows * sizeof(selection_cut) / sizeof(float)) {}
  void select(float const* scores) override {
    select_rows(on_, rows(scores), reinterpret_cast<selection_cut*>(cuts_.data()), reinterpret_cast<std::byte*>(workspace_.data()), bytes_,
                block_threads);
  }

 private:
  score_rows rows(float const* scores) const { return {scores, case_.length, case_.rows, case_.length, case_.count}; }

  select_case case_;
  cuda_executor on_;
  std::size_t bytes_;
  device_floats workspace_, cuts_;
};

/// Makes every row as full as it was and one slot in `one_in` a victim, then compacts.
template <class View>
struct leave_task {
  View planes;
  u32 held, one_in;
  u32* goes;     ///< [rows, held]
  u32* scratch;  ///< [rows, held]

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, u32 r) const {
    auto const row = planes.row(r);
    u32* const own = goes + std::size_t{r} * held;
    for (u32 i = g.thread_rank(); i < held; i += g.num_threads()) own[i] = (i * 7 + r) % one_in == 0 ? 1 : 0;
    if (g.thread_rank() == 0) row.state->held = held;
    g.sync();
    compact_row(g, planes, row, own, scratch + std::size_t{r} * held);
  }
};

/// Makes every slot one that came down by a place, then turns its key.
template <class Bound>
struct turn_task {
  rerotate_task<Bound> turn;

  template <cooperative_group G>
  KVSIFT_HOST_DEVICE void operator()(G const& g, u32 r) const {
    if (g.thread_rank() == 0) turn.cache.planes.fell[r] = 1;
    g.sync();
    turn(g, r);
  }
};

template <class Cache>
Cache full_cache(cudaStream_t stream, cuda_executor const& on, move_case const& c, layout order) {
  cache_options const options{.max_piece = 1, .order = order, .group_threads = block_threads};
  Cache cache(cache_shape{1, 8, 1, c.head_dim, c.rows / 8}, streaming_llm(4, c.held - 4), options, cuda::memory<>(stream));
  token_pool pool(stream);
  for (u32 t = 0; t < c.held; ++t) {
    kvsift::arrivals const token = pool.token(cache.shape());
    append(on, cache[0], token.keys, token.values);
  }
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize of a cache that was filled");
  return cache;
}

class leaving_rows final : public moving_rows {
  using cache_type = kv_tensor<decltype(streaming_llm(4, 60)), bf16_payload, original_positions, dropped, in_rows, cuda::memory<>>;

 public:
  leaving_rows(cudaStream_t stream, move_case const& c)
      : case_(c),
        on_(stream, block_threads),
        cache_(full_cache<cache_type>(stream, on_, c, c.keeps_order ? layout::dense : layout::slots)),
        words_(stream, 2 * std::size_t{c.rows} * c.held) {}
  void move() override {
    u32* const goes = reinterpret_cast<u32*>(words_.data());
    on_.launch(case_.rows, leave_task<cache_type::view_type>{cache_.view(), case_.held, case_.one_in, goes,
                                                             goes + std::size_t{case_.rows} * case_.held});
  }

 private:
  move_case case_;
  cuda_executor on_;
  cache_type cache_;
  device_floats words_;
};

class turning_rows final : public moving_rows {
  using cache_type = kv_tensor<decltype(streaming_llm(4, 60)), fp32_payload, rerotated_positions, dropped, in_rows, cuda::memory<>>;

 public:
  turning_rows(cudaStream_t stream, move_case const& c)
      : rows_(c.rows), on_(stream, block_threads), cache_(full_cache<cache_type>(stream, on_, c, layout::slots)) {}
  void move() override { on_.launch(rows_, turn_task<cache_type::bound_type>{{cache_.bound()}}); }

 private:
  u32 rows_;
  cuda_executor on_;
  cache_type cache_;
};

}  // namespace

std::unique_ptr<prompts> make_prompts(cudaStream_t stream, prompt_case const& c, double l2) {
  return std::make_unique<snapkv_prompts>(stream, c, l2);
}
std::unique_ptr<moving_rows> make_moving_rows(cudaStream_t stream, move_case const& c) { return std::make_unique<leaving_rows>(stream, c); }
std::unique_ptr<moving_rows> make_turning_rows(cudaStream_t stream, move_case const& c) { return std::make_unique<turning_rows>(stream, c); }

std::unique_ptr<row_selection> make_row_selection(cudaStream_t stream, select_case const& c) {
  return std::make_unique<verb_selection>(stream, c);
}

}  // namespace bench
