#pragma once
// A model that runs over a cache held to a budget. What is chosen at run time (storage, positions, threads) is hidden here,
// and compiled once.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <common/policy_choice.hpp>
#include <kvsift/evict/cache_image.hpp>
#include <kvsift/position/learned_align.hpp>
#include <reference_model/io/align_networks.hpp>
#include <reference_model/model/logits_of.hpp>
#include <reference_model/model/weights.hpp>
#include <reference_model/text/tokenizer.hpp>

namespace programs {

class trace_recorder;
class session_engine;

// Where survivors stand, and what becomes of them when others go.
enum class standing {
  original,       // where they stood
  in_cache,       // numbered 0, 1, 2 ... again; of a model with learned positions, tokens keep the number they came with
  learned_align,  // numbered again, and two networks move keys and values there: KV-Align
  recompute,      // nothing is kept but the newest tokens, which are run again for each one: the ceiling, and its price
};
char const* name_of(standing stand);

struct session_options {
  std::uint32_t capacity = 0;       // slots of a head whose policy has no limit, or of one with the mean budget that grows: see needed
  std::uint32_t longest_piece = 1;  // tokens that are fed at once, at most
  standing stand = standing::original;
  std::optional<kvsift::learned_align> align{};  // for standing::learned_align
  reference_model::align_networks const* networks = nullptr;  // that it looks at; copied where the cache lies elsewhere
  bool in_pages = false;            // slots are handed out in pages; else every head has its row
  bool every_logits = false;        // logits of every token of a piece, not of the last alone
  std::string executor = "serial";  // serial, parallel, parallel:N or cuda
  reference_model::tokenizer const* text = nullptr;  // says what kinds of token there are; null: all are ordinary
};

// Bytes of a cache.
struct session_memory {
  std::size_t vectors = 0;      // K and V
  std::size_t bookkeeping = 0;  // positions, ranks, columns, states
  std::size_t workspace = 0;    // what the verbs work with
  std::size_t fixed = 0;        // of the bookkeeping: states and tables, which do not grow with the slots
  std::size_t slots = 0;        // of all heads
  std::size_t cache() const { return vectors + bookkeeping; }
};

// What a cache saves of a full one that holds the same tokens unquantised (as stored, in 16 bits where this one is fp8, int8, int4 or
// int2): 1 - bytes held / bytes of the full one.
struct compression {
  double vectors = 0;           // the components of K and V alone
  double with_bookkeeping = 0;  // and positions, ranks, columns, states, tables, scales; the full one has K, V and positions
  compression& operator+=(compression const& more) {
    vectors += more.vectors;
    with_bookkeeping += more.with_bookkeeping;
    return *this;
  }
  compression& operator/=(double count) {
    vectors /= count;
    with_bookkeeping /= count;
    return *this;
  }
};

// "50.0 % of K and V, 47.9 % with bookkeeping"
std::string in_words(compression const& saved);

// Threads of "serial", "parallel" (0: as many as the machine has) or "parallel:N". Throws usage_error, also for "cuda".
std::uint32_t threads_of(std::string const& executor);

// Throws usage_error unless a session can have this executor here: one of those, or "cuda" where the build and the machine have it.
void check_executor(std::string const& executor);

// Of which tokens of a piece a session's model has to give logits.
reference_model::logits_of logits_for(session_options const& o);

// A sequence that is being fed. All memory is taken by the constructor; feeding allocates nothing (a recorder does).
class session {
 public:
  // `model` and `recorder` must outlive this. Throws usage_error or bad_argument.
  session(reference_model::model const& model, policy_choice const& choice, session_options const& options,
          trace_recorder* recorder = nullptr);
  ~session();
  session(session&&) noexcept;

  // Feeds tokens as one piece and evicts. Returns logits [vocab] of the last token, or [tokens, vocab] with every_logits:
  // before that eviction, and valid until the next call.
  float const* feed(std::span<std::uint32_t const> tokens);
  float const* feed(std::uint32_t token) { return feed({&token, 1}); }

  // Forgets every token.
  void clear();

  // What the cache holds, and to be there again: afterwards feeding goes on as it went on then.
  struct state {
    kvsift::cache_image cache;
    std::uint32_t seen = 0;
    std::vector<std::uint32_t> window{};  // of recompute
  };
  state save() const;
  void restore(state const& saved);  // throws bad_argument for the state of another cache

  // Whether a token's number in the model is how many are held, not how many were seen.
  bool renumbers() const { return stand_ == standing::in_cache || stand_ == standing::learned_align; }

  // Lets every head give up slots until `tokens` more fit below its limit. Throws bad_argument if the policy cannot.
  void make_room(std::uint32_t tokens);

  std::uint32_t seen() const { return seen_; }  // tokens fed
  // Positions that a head holds, in no order; valid until the next call of feed.
  std::span<std::uint32_t const> held(std::uint32_t layer, std::uint32_t head) const;
  session_memory memory() const;
  compression saved() const;  // by what is held now; nothing is held before the first token

 private:
  float const* feed_piece(std::uint32_t const* tokens, std::uint32_t n);
  float const* feed_again(std::uint32_t token);
  std::unique_ptr<session_engine> engine_;
  reference_model::config const* config_;
  std::string storage_;
  std::uint32_t longest_ = 0;
  std::vector<std::uint32_t> positions_;  // of the piece
  std::vector<std::uint8_t> kinds_of_;    // [vocab], where the policy asks for them
  std::vector<std::uint8_t> kinds_;       // of the piece
  std::uint32_t seen_ = 0;
  standing stand_ = standing::original;
  std::uint32_t together_ = 0;           // tokens that can be held before one goes, where that bounds a piece; else 0
  bool whole_first_ = false;             // but not the first, which a rule of the policy cuts when it has attended
  std::vector<std::uint32_t> window_;    // of recompute
  std::vector<float> logits_;            // [longest_piece, vocab], where a piece is taken token by token
  mutable std::vector<std::uint32_t> held_;
};

// Bytes of a cache that keeps `tokens` tokens: K, V and positions, stored alike.
std::size_t full_cache_bytes(reference_model::config const& c, std::string const& storage, std::uint64_t tokens);

}  // namespace programs
