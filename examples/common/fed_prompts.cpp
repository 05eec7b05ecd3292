#include <common/fed_prompts.hpp>

#include <utility>

namespace programs {

namespace {

template <class Item>
void append(std::vector<Item>& to, std::vector<Item> const& from, std::size_t first, std::size_t n) {
  auto const begin = from.begin() + static_cast<std::ptrdiff_t>(first);
  to.insert(to.end(), begin, begin + static_cast<std::ptrdiff_t>(n));
}

std::size_t bytes_of(kvsift::cache_image const& image) {
  std::size_t bytes = image.keys.size() + image.values.size() + 4 * (image.positions.size() + image.ranks.size());
  for (kvsift::column_image const& column : image.columns) bytes += column.data.size();
  return bytes;
}

}  // namespace

kvsift::cache_image joined(coalition const& members, kvsift::cache_image const& everyone,
                           kvsift::cache_image const& nobody) {
  kvsift::cache_image all;
  all.shape = everyone.shape;
  all.vector_bytes = everyone.vector_bytes;
  for (kvsift::column_image const& column : everyone.columns) all.columns.push_back({column.name, column.bytes, {}});
  std::size_t of_everyone = 0, of_nobody = 0;  // slots of the heads before
  for (std::size_t head = 0; head < members.size(); ++head) {
    kvsift::cache_image const& from = members[head] ? everyone : nobody;
    std::size_t const first = members[head] ? of_everyone : of_nobody, held = from.states[head].held;
    all.states.push_back(from.states[head]);
    append(all.keys, from.keys, first * from.vector_bytes, held * from.vector_bytes);
    append(all.values, from.values, first * from.vector_bytes, held * from.vector_bytes);
    append(all.positions, from.positions, first, held);
    if (!from.ranks.empty()) append(all.ranks, from.ranks, first, held);
    for (std::size_t c = 0; c < all.columns.size(); ++c)
      append(all.columns[c].data, from.columns[c].data, first * all.columns[c].bytes, held * all.columns[c].bytes);
    of_everyone += everyone.states[head].held;
    of_nobody += nobody.states[head].held;
  }
  std::size_t const heads = all.shape.kv_heads;
  for (std::size_t layer = 0; layer < all.shape.layers; ++layer) {
    bool any = false, every = true;
    for (std::size_t h = 0; h < heads; ++h) {
      any = any || members[layer * heads + h];
      every = every && members[layer * heads + h];
    }
    all.held.push_back((any ? everyone : nobody).held[layer]);
    all.least_held.push_back((every ? everyone : nobody).least_held[layer]);
  }
  return all;
}

fed_prompts::fed_prompts(loaded_model const& m, shared_options with, head_window const& window, std::size_t count,
                         std::size_t bytes)
    : m_(m), with_(std::move(with)), window_(window), kept_(count), room_(bytes) {}

fed_prompts::fed fed_prompts::feed_both(std::vector<std::uint32_t> const& prompt, position_plan const& plan,
                                        std::size_t tokens, std::size_t heads) const {
  fed both;
  for (bool const member : {true, false}) {
    policy_choice const choice = keep_heads(coalition(heads, member), window_);
    session run(m_.model, choice, session_of(plan, choice, m_, with_.executor, tokens));
    float const* const logits = feed_prompt(run, prompt, plan);
    if (member) both.logits.assign(logits, logits + m_.config().vocab);
    (member ? both.everyone : both.nobody) = run.save();
  }
  return both;
}

float const* fed_prompts::feed(session& run, std::size_t i, std::vector<std::uint32_t> const& prompt,
                               coalition const& members, position_plan const& plan, std::size_t tokens) {
  std::optional<fed>& kept = kept_[i];
  if (!kept && room_ > 0) {
    kept = feed_both(prompt, plan, tokens, members.size());
    std::size_t const bytes = bytes_of(kept->everyone.cache) + bytes_of(kept->nobody.cache) + 4 * kept->logits.size();
    if (bytes > room_) kept.reset();
    room_ -= kept ? bytes : room_;
  }
  if (!kept) {
    run.clear();
    return feed_prompt(run, prompt, plan);
  }
  run.restore({joined(members, kept->everyone.cache, kept->nobody.cache), kept->everyone.seen});
  return kept->logits.data();
}

}  // namespace programs
