#pragma once

#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <kvsift/cache/memory.hpp>
#include <kvsift/exec/executor.hpp>
#include <support/block_memory.hpp>
#include <support/thread_group.hpp>

// What a CUDA device is to the verbs, in the host's memory: a space where several blocks share a row.
namespace support {

struct split_space {
  static constexpr bool splits_rows = true;
};

struct split_memory {
  using space = split_space;
  using block = kvsift::host_memory;

  block allocate(std::size_t bytes) const { return block(bytes); }
  void copy_in(void* to, void const* from, std::size_t bytes) const { std::memcpy(to, from, bytes); }
  void copy_out(void* to, void const* from, std::size_t bytes) const { std::memcpy(to, from, bytes); }
};

/// Runs every block by a group of `threads` host threads: one after another, the last first, or all at the same time. With `captured` it
/// keeps its launches there, to be run again and again, as a graph does.
struct split_executor {
  using is_executor = void;
  using space = split_space;
  enum class order { forwards, backwards, at_once };
  std::uint32_t threads = 1;
  order how = order::forwards;
  std::vector<std::function<void()>>* captured = nullptr;

  std::uint32_t group_threads() const { return threads; }

  template <class Task>
  void launch(std::uint32_t blocks, Task const& task) const {
    if (captured == nullptr) return run(blocks, task);
    captured->push_back([blocks, task, on = split_executor{threads, how}] { on.run(blocks, task); });
  }

 private:
  template <class Task>
  void run(std::uint32_t blocks, Task const& task) const {
    auto const number = [&](std::uint32_t i) { return how == order::backwards ? blocks - 1 - i : i; };
    std::size_t const bytes = kvsift::block_bytes_of(task, threads);
    std::vector<block_memory> memories(how == order::at_once ? blocks : 1, block_memory(bytes));
    if (how == order::at_once) {
      std::vector<std::unique_ptr<std::barrier<>>> barriers;
      std::vector<std::thread> all;
      for (std::uint32_t block = 0; block < blocks; ++block) {
        barriers.push_back(std::make_unique<std::barrier<>>(static_cast<std::ptrdiff_t>(threads)));
        for (std::uint32_t rank = 0; rank < threads; ++rank)
          all.emplace_back([&task, block, group = with_memory(thread_group(rank, threads, *barriers.back()), memories[block].data())] {
            task(group, block);
          });
      }
      for (std::thread& t : all) t.join();
    } else {
      thread_group_executor{threads}.launch(blocks, [&](thread_group const& g, std::uint32_t i) {
        task(with_memory(g, memories[0].data()), number(i));
      });
    }
  }
};

}  // namespace support
