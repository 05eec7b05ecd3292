#pragma once
// A session's cache, whatever it is made of. Only session*.cpp include this.
#include <cstdint>
#include <memory>
#include <span>

#include <common/session.hpp>
#include <kvsift/evict/arrivals.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/position/concepts.hpp>

namespace programs {

// A cache behind an interface, so that the transformer is compiled for one.
class session_cache {
 public:
  virtual ~session_cache() = default;
  virtual std::uint32_t count() const = 0;  // slots that the first head of the first layer holds
  virtual std::span<std::uint32_t const> held(std::uint32_t layer, std::uint32_t head) const = 0;
  virtual session_memory memory() const = 0;
  virtual void clear() = 0;
  virtual kvsift::cache_image image() const = 0;
  virtual void restore(kvsift::cache_image const& image) = 0;
  virtual void count_replayed() = 0;  // see kv_tensor
};

// In the host's memory.
class host_session_cache : public session_cache {
 public:
  virtual kvsift::keys_are keys_are() const = 0;
  virtual void step(kvsift::parallel_executor const& on, std::uint32_t layer, kvsift::arrivals const& piece, float* out) = 0;
  virtual void evict(kvsift::parallel_executor const& on) = 0;
  virtual void make_room(kvsift::parallel_executor const& on, std::uint32_t tokens) = 0;
};

// For a model of this shape. Throws usage_error or bad_argument.
std::unique_ptr<host_session_cache> make_session_cache(reference_model::config const& c, policy_choice const& choice, session_options const& o);

}  // namespace programs
