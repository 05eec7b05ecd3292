#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <kvsift/evict/kv_tensor.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/evict/cache_image.hpp>
#include <kvsift/policy/any_policy.hpp>
#include <kvsift/position/in_cache.hpp>
#include <support/any_executor.hpp>
#include <support/marked_vectors.hpp>
#include <support/pages.hpp>
#include <support/poison.hpp>
#include <support/snapshot.hpp>

namespace laws {

/// A cache behind an interface, so that one program compiles each instance of the library once.
class engine {
 public:
  virtual ~engine() = default;

  /// The sequences that the verbs are given; all that are not paused if it is empty.
  std::optional<kvsift::sequence_range> who;
  virtual void step(support::any_executor const& on, std::uint32_t layer, kvsift::arrivals const& piece, float* out) = 0;
  virtual void evict(support::any_executor const& on) = 0;
  virtual void evict(support::any_executor const& on, std::uint32_t layer) = 0;
  virtual void append(support::any_executor const& on, std::uint32_t layer, support::marked_vectors::piece const& token) = 0;
  virtual void observe(support::any_executor const& on, std::uint32_t layer, float const* masses, std::size_t pitch) = 0;
  virtual void compress(support::any_executor const& on, std::uint32_t layer, float const* keys, float const* values,
                        std::uint32_t tokens, kvsift::prompt_masses const& masses) = 0;
  virtual void clear() = 0;                                                 ///< of kv_tensor
  virtual void clear(support::any_executor const& on) = 0;                  ///< the verb
  virtual void set_paused(support::any_executor const& on, bool paused) = 0;
  virtual kvsift::cache_image image() = 0;
  virtual void restore(kvsift::cache_image const& image) = 0;
  virtual void poison() = 0;          ///< fills what is undefined between two verbs
  virtual void poison_scratch() = 0;  ///< and what is undefined between two launches
  virtual void scatter(std::uint64_t seed) = 0;  ///< deals pages out anew, where there are pages: nothing may change
  virtual std::string misplaced() const = 0;     ///< what is wrong with the pages; empty if nothing is
  virtual support::snapshot look() const = 0;
  virtual std::uint32_t capacity() const = 0;
};

/// On: any_executor, or serial_executor where one executor is enough (half the instances to compile).
template <class On, class Policy, class Payload, class Position, class Placement>
class engine_of final : public engine {
 public:
  engine_of(kvsift::cache_shape const& shape, Policy const& policy, kvsift::cache_options const& options,
            Position const& position)
      : cache_(shape, policy, options, position) {}

  void step(support::any_executor const& on, std::uint32_t layer, kvsift::arrivals const& piece, float* out) override {
    kvsift::step(as<On>(on), rows(layer), piece, out);
  }
  void evict(support::any_executor const& on) override { kvsift::evict(as<On>(on), part()); }
  void evict(support::any_executor const& on, std::uint32_t layer) override { kvsift::evict(as<On>(on), rows(layer)); }
  void append(support::any_executor const& on, std::uint32_t layer, support::marked_vectors::piece const& token) override {
    kvsift::append(as<On>(on), rows(layer), token.keys.data(), token.values.data(), token.queries.data());
  }
  void observe(support::any_executor const& on, std::uint32_t layer, float const* masses, std::size_t pitch) override {
    kvsift::observe(as<On>(on), rows(layer), masses, pitch);
  }
  void compress(support::any_executor const& on, std::uint32_t layer, float const* keys, float const* values,
                std::uint32_t tokens, kvsift::prompt_masses const& masses) override {
    kvsift::compress(as<On>(on), rows(layer), keys, values, tokens, masses);
  }
  void clear() override { cache_.clear(); }
  void clear(support::any_executor const& on) override { kvsift::clear(as<On>(on), part()); }
  void set_paused(support::any_executor const& on, bool paused) override {
    if (paused) kvsift::pause(as<On>(on), part());
    else kvsift::resume(as<On>(on), part());
  }
  kvsift::cache_image image() override { return who ? kvsift::image_of(part()) : kvsift::image_of(cache_); }
  void restore(kvsift::cache_image const& image) override {
    if (who) kvsift::restore(part(), image);
    else kvsift::restore(cache_, image);
  }
  void poison() override { support::poison(cache_); }
  void poison_scratch() override { support::poison_scratch(cache_); }
  void scatter(std::uint64_t seed) override { support::scatter_pages(cache_.view(), seed); }
  std::string misplaced() const override { return support::misplaced_pages(cache_.view()); }
  support::snapshot look() const override { return support::take_snapshot(cache_.view()); }
  std::uint32_t capacity() const override { return cache_.capacity(); }

 private:
  template <class E>
  static E as(support::any_executor const& on) {
    if constexpr (std::is_same_v<E, support::any_executor>)
      return on;
    else
      return {};
  }
  using cache_type = kvsift::kv_tensor<Policy, Payload, Position, kvsift::dropped, Placement>;

  kvsift::cache_part<cache_type> part() { return who ? cache_.sequences(who->first, who->count) : cache_.everyone(); }
  kvsift::cache_rows<cache_type> rows(std::uint32_t layer) { return part()[layer]; }

  cache_type cache_;
};

template <class On, class Payload = kvsift::fp32_payload, class Position = kvsift::original_positions,
          class Placement = kvsift::in_rows, class Policy>
std::unique_ptr<engine> engine_for(kvsift::cache_shape const& shape, Policy const& policy,
                                   kvsift::cache_options const& options, Position const& position = {}) {
  return std::make_unique<engine_of<On, Policy, Payload, Position, Placement>>(shape, policy, options, position);
}

/// Caches of any_policy. Defined once each, in engines_*.cpp; only fp32 at original positions knows thread groups.
enum class storage { fp32, fp16, bf16, fp8 };

std::unique_ptr<engine> make_engine(kvsift::cache_shape const&, kvsift::any_policy const&, kvsift::cache_options const&,
                                    storage = storage::fp32);
std::unique_ptr<engine> make_half_engine(kvsift::cache_shape const&, kvsift::any_policy const&,
                                         kvsift::cache_options const&, storage);
std::unique_ptr<engine> make_ranked_engine(kvsift::cache_shape const&, kvsift::any_policy const&,
                                           kvsift::cache_options const&, kvsift::in_cache_positions const&);
/// The same in pages.
std::unique_ptr<engine> make_paged_engine(kvsift::cache_shape const&, kvsift::any_policy const&, kvsift::cache_options const&);
std::unique_ptr<engine> make_paged_ranked_engine(kvsift::cache_shape const&, kvsift::any_policy const&,
                                                 kvsift::cache_options const&, kvsift::in_cache_positions const&);

}  // namespace laws
