#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include <kvsift/core/check.hpp>
#include <kvsift/exec/executor.hpp>

namespace kvsift {

/// Spreads blocks over host threads that live as long as the executor. Every block runs as a group of one thread, so
/// results are bit for bit those of serial_executor. launch allocates nothing; it must not be called from two threads at
/// once. Copies share the threads. A task must not throw.
class parallel_executor {
 public:
  using is_executor = void;

  /// `threads` counts the calling thread; 0 takes the number of hardware threads.
  explicit parallel_executor(std::uint32_t threads = 0)
      : pool_(std::make_shared<pool>(threads != 0 ? threads : hardware_threads())) {}

  std::uint32_t threads() const { return pool_->threads; }

  template <class Task>
  void launch(std::uint32_t blocks, Task const& task) const {
    pool_->run(blocks, __builtin_addressof(task), [](void const* t, std::uint32_t block) {
      (*static_cast<Task const*>(t))(serial_group{}, block);
    });
  }

 private:
  static std::uint32_t hardware_threads() {
    std::uint32_t const n = std::thread::hardware_concurrency();
    return n != 0 ? n : 1;
  }

  struct pool {
    using body = void (*)(void const*, std::uint32_t);

    explicit pool(std::uint32_t count) : threads(count) {
      require(count <= 1024, "threads", count, "give at most 1024");
      for (std::uint32_t i = 1; i < count; ++i) workers.emplace_back([this] { work(); });
    }
    ~pool() {
      stop.store(true, std::memory_order_relaxed);
      round.fetch_add(1, std::memory_order_release);
      round.notify_all();
      for (std::thread& w : workers) w.join();
    }
    pool(pool const&) = delete;
    pool& operator=(pool const&) = delete;

    void run(std::uint32_t count, void const* what, body how) {
      if (count <= 1 || workers.empty()) {
        for (std::uint32_t block = 0; block < count; ++block) how(what, block);
        return;
      }
      task = what;
      function = how;
      blocks = count;
      next.store(0, std::memory_order_relaxed);
      busy.store(static_cast<std::uint32_t>(workers.size()), std::memory_order_relaxed);
      round.fetch_add(1, std::memory_order_release);
      round.notify_all();
      take_blocks();
      for (unsigned spin = 0;; ++spin) {
        std::uint32_t const left = busy.load(std::memory_order_acquire);
        if (left == 0) break;
        if (spin > spins) busy.wait(left, std::memory_order_acquire);
      }
    }

    void take_blocks() {
      for (;;) {
        std::uint32_t const block = next.fetch_add(1, std::memory_order_relaxed);
        if (block >= blocks) return;
        function(task, block);
      }
    }

    void work() {
      std::uint32_t seen = 0;
      for (;;) {
        std::uint32_t now = round.load(std::memory_order_acquire);
        for (unsigned spin = 0; now == seen && spin < spins; ++spin) now = round.load(std::memory_order_acquire);
        if (now == seen) {
          round.wait(seen, std::memory_order_acquire);
          continue;
        }
        seen = now;
        if (stop.load(std::memory_order_relaxed)) return;
        take_blocks();
        if (busy.fetch_sub(1, std::memory_order_acq_rel) == 1) busy.notify_one();
      }
    }

    static constexpr unsigned spins = 2000;  // about a microsecond or two before a thread sleeps
    std::uint32_t threads;
    void const* task = nullptr;
    body function = nullptr;
    std::uint32_t blocks = 0;
    std::atomic<std::uint32_t> next{0};
    std::atomic<std::uint32_t> busy{0};
    std::atomic<std::uint32_t> round{0};
    std::atomic<bool> stop{false};
    std::vector<std::thread> workers;
  };

  std::shared_ptr<pool> pool_;
};

}  // namespace kvsift
