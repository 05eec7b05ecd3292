#pragma once
// The game that head importance is measured by: KV heads are the players, and a coalition is worth what a task is worth
// while its members keep everything and all other heads the window of the prompt and what is generated.
#include <cstddef>
#include <cstdint>
#include <map>

#include <common/coalition.hpp>
#include <common/head_task.hpp>
#include <common/keep_heads.hpp>
#include <reference_model/model/config.hpp>

namespace programs {

// Players of a model: its KV heads, layer by layer.
inline std::size_t players_of(reference_model::config const& c) { return std::size_t{c.layers} * c.kv_heads; }

// u of coalitions; what is known is not run again.
class head_game {
 public:
  // `task` must outlive this.
  head_game(head_task const& task, head_window const& window) : task_(task), window_(window) {}

  double worth(coalition const& members) {
    auto const [at, fresh] = known_.try_emplace(members, 0.0);
    if (fresh) at->second = task_.worth(members, window_);
    return at->second;
  }
  void knows(coalition const& members, double worth) { known_[members] = worth; }

 private:
  head_task const& task_;
  head_window window_;
  std::map<coalition, double> known_;
};

}  // namespace programs
