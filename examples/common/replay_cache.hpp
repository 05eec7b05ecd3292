#pragma once
// A cache of one layer that is fed a trace, whatever executor runs its verbs. Heavy to compile; for replay.cpp and examples/cuda.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <common/trace_file.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/policy/any_policy.hpp>
#include <kvsift/policy/catalogue.hpp>

namespace programs {

class replay_cache {
 public:
  virtual ~replay_cache() = default;
  virtual void feed(std::uint32_t first, std::uint32_t tokens, bool of_prompt) = 0;  // a piece of the trace: step, then evict
  virtual std::uint32_t next_piece(std::uint32_t tokens) const = 0;                  // see kv_tensor
  virtual std::vector<std::uint32_t> held(std::uint32_t head) const = 0;             // positions, in order
  virtual std::uint32_t limit(std::uint32_t head) const = 0;                         // slots that a head may keep
  virtual std::vector<float> outputs() const = 0;                                    // [T, Hq, D] of what was fed
};

inline kvsift::cache_shape shape_of(trace const& t) { return {1, t.kv_heads, t.query_heads / t.kv_heads, t.dim, 1}; }

// The policy of a run, whose draws, if it has any, lie at `draws`.
using policy_of_draws = std::function<kvsift::catalogue_policy(float const* draws)>;

template <class Executor, kvsift::cache_memory Memory>
class replay_cache_of final : public replay_cache {
 public:
  // The trace must outlive it. threads: of the executor's groups.
  replay_cache_of(Executor const& on, std::uint32_t threads, trace const& t, policy_of_draws const& policy_of, std::uint32_t prompt, Memory const& memory)
      : on_(on),
        memory_(memory),
        queries_(place(t.queries)),
        keys_(place(t.keys)),
        values_(place(t.values)),
        draws_(place(t.uniforms)),
        out_(memory.allocate(t.queries.size() * sizeof(float))),
        policy_(policy_of(draws_.at)),
        cache_(shape_of(t), policy_.value,
               {.capacity = policy_.bounded ? 0 : t.tokens, .max_piece = prompt, .promised = t.tokens - prompt, .group_threads = threads}, memory) {}

  void feed(std::uint32_t first, std::uint32_t tokens, bool of_prompt) override {
    kvsift::cache_shape const& s = cache_.shape();
    std::size_t const q = first * std::size_t{s.query_heads()} * s.head_dim, k = first * std::size_t{s.kv_heads} * s.head_dim;
    kvsift::step(on_, cache_.layer(0), {queries_.at + q, keys_.at + k, values_.at + k, tokens, of_prompt}, reinterpret_cast<float*>(out_.data()) + q);
    kvsift::evict(on_, cache_);
  }
  std::uint32_t next_piece(std::uint32_t tokens) const override { return cache_.next_piece(0, tokens); }
  std::vector<std::uint32_t> held(std::uint32_t head) const override {
    std::vector<std::uint32_t> p;
    cache_.read_planes([&](auto const& planes) {
      auto const row = planes.row(head);
      for (std::uint32_t i = 0; i < row.state->held; ++i) p.push_back(row.positions[i]);
    });
    std::sort(p.begin(), p.end());
    return p;
  }
  std::uint32_t limit(std::uint32_t head) const override {
    std::uint32_t limit = 0;
    cache_.read_planes([&](auto const& planes) { limit = planes.row(head).state->limit; });
    return limit;
  }
  std::vector<float> outputs() const override {
    std::vector<float> all(out_.size() / sizeof(float));
    memory_.copy_out(all.data(), out_.data(), out_.size());
    return all;
  }

 private:
  // An array where the executor reaches it: the trace's own, or a copy.
  struct placed {
    typename Memory::block copy;
    float const* at;
  };
  placed place(std::vector<float> const& from) const {
    if constexpr (kvsift::is_host_memory<Memory>) {
      return {{}, from.data()};
    } else {
      std::size_t const bytes = from.size() * sizeof(float);
      placed p{memory_.allocate(bytes), nullptr};
      if (bytes != 0) memory_.copy_in(p.copy.data(), from.data(), bytes);
      p.at = reinterpret_cast<float const*>(p.copy.data());
      return p;
    }
  }

  Executor on_;
  Memory memory_;
  placed queries_, keys_, values_, draws_;
  typename Memory::block out_;
  kvsift::catalogue_policy policy_;
  kvsift::kv_tensor<kvsift::any_policy, kvsift::fp32_payload, kvsift::original_positions, kvsift::dropped, kvsift::in_rows, Memory> cache_;
};

// On a GPU. Throws usage_error in a build without CUDA, and where there is none.
std::unique_ptr<replay_cache> make_cuda_replay(trace const& t, policy_of_draws const& policy_of, std::uint32_t prompt);

}  // namespace programs
