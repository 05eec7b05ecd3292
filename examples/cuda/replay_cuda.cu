// replay on a GPU.
#include <common/replay_cache.hpp>
#include <cuda/own_stream.hpp>
#include <kvsift/cuda/executor.cuh>
#include <kvsift/cuda/memory.hpp>

namespace programs {

namespace {

constexpr std::uint32_t threads = 128;  // of a block

using cache_on_stream = replay_cache_of<kvsift::cuda_executor, kvsift::cuda::memory<>>;

class cuda_replay final : public replay_cache {
 public:
  cuda_replay(trace const& t, policy_of_draws const& policy_of, std::uint32_t prompt)
      : cache_(kvsift::cuda_executor(stream_.value, threads), threads, t, policy_of, prompt, kvsift::cuda::memory<>(stream_.value)) {}

  void feed(std::uint32_t first, std::uint32_t tokens, bool of_prompt) override { cache_.feed(first, tokens, of_prompt); }
  std::uint32_t next_piece(std::uint32_t tokens) const override { return cache_.next_piece(tokens); }
  std::vector<std::uint32_t> held(std::uint32_t head) const override { return cache_.held(head); }
  std::uint32_t limit(std::uint32_t head) const override { return cache_.limit(head); }
  std::vector<float> outputs() const override { return cache_.outputs(); }

 private:
  own_stream stream_;
  cache_on_stream cache_;
};

}  // namespace

std::unique_ptr<replay_cache> make_cuda_replay(trace const& t, policy_of_draws const& policy_of, std::uint32_t prompt) {
  return std::make_unique<cuda_replay>(t, policy_of, prompt);
}

}  // namespace programs
