#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <kvsift/budget/concepts.hpp>
#include <kvsift/cache/memory.hpp>
#include <kvsift/cache/storage.hpp>
#include <kvsift/evict/disposal.hpp>
#include <kvsift/evict/parts.hpp>
#include <kvsift/evict/plan.hpp>
#include <kvsift/evict/sequences.hpp>
#include <kvsift/evict/workspace.hpp>
#include <kvsift/payload/concepts.hpp>
#include <kvsift/payload/plain.hpp>
#include <kvsift/policy/policy.hpp>
#include <kvsift/position/original.hpp>

namespace kvsift {

/// What a cache will take, in bytes.
struct memory_plan {
  std::uint32_t capacity = 0;  ///< slots allocated per head; where heads differ, of the one with most
  cache_bytes cache;
  std::size_t workspace = 0;
};

/// A KV cache with the columns of its policy: owner of the memory, and of the workspace of the verbs.
/// Everything is allocated here; the verbs allocate nothing. Not copyable.
/// Placement: in_rows, where a row's slots lie one behind another, or in_pages, where they are handed out in pages.
/// Memory: where it lies. In another memory than the host's, view() is of pointers that the host must not follow.
template <class Policy, class Payload = fp32_payload, position_rule Position = original_positions, disposal Disposal = dropped,
          class Placement = in_rows, cache_memory Memory = main_memory>
class kv_tensor {
  static_assert(requires(Policy const& p) { p.columns(); p.facts(); p.budget; p.rules; },
                "kvsift: a kv_tensor takes a policy after the shape, such as kvsift::roco(512, 144)");
  static_assert(vector_payload<Payload>,
                "kvsift: the payload of a kv_tensor says how a vector is stored (bytes, load, store), such as kvsift::fp32_payload");

 public:
  using columns = columns_of<Policy>;
  using payload = Payload;
  using placement = Placement;
  using memory_type = Memory;
  using view_type = cache_view<columns, Placement>;
  using disposed = disposed_payload<Payload, Disposal>;
  using bound_type = bound_cache<columns, Disposal, Placement>;
  static constexpr bool realigned = realigning_rule<Position>;
  static constexpr bool token_by_token = realigned && !settling_rule<Position>;  ///< prompts that are cut
  static constexpr bool splits = splits_rows<typename Memory::space>;

  /// parts: payload, position rule, disposal, placement and memory, those that are not as usual, in any order:
  /// kv_tensor cache{shape, policy, options, bf16_payload{}, in_pages{}}.
  /// Throws bad_argument, before anything is allocated, for a shape, policy or option that cannot be served, and
  /// std::bad_alloc if there is not so much memory.
  template <class... Parts>
  kv_tensor(cache_shape const& shape, std::type_identity_t<Policy> const& policy, cache_options const& options = {}, Parts const&... parts)
      : policy_(policy),
        position_(detail::given_part<detail::any_position, Position>(parts...)),
        options_(options),
        slots_(plan_slots(shape, policy, options, Placement::grain)),
        source_(detail::given_part<detail::any_memory, Memory>(parts...)) {
    static_assert((detail::is_part<Parts> && ...),
                  "kvsift: what follows the options of a kv_tensor is a payload, a position rule, a disposal, a placement or a memory");
    static_assert(detail::parts_of<detail::any_payload, Parts...> <= 1 && detail::parts_of<detail::any_position, Parts...> <= 1 &&
                      detail::parts_of<detail::any_disposal, Parts...> <= 1 && detail::parts_of<detail::any_placement, Parts...> <= 1 &&
                      detail::parts_of<detail::any_memory, Parts...> <= 1,
                  "kvsift: a kv_tensor is given two parts of the same kind");
    static_assert(std::is_same_v<detail::part_t<detail::any_payload, Payload, Parts...>, Payload> &&
                      std::is_same_v<detail::part_t<detail::any_position, Position, Parts...>, Position> &&
                      std::is_same_v<detail::part_t<detail::any_disposal, Disposal, Parts...>, Disposal> &&
                      std::is_same_v<detail::part_t<detail::any_placement, Placement, Parts...>, Placement> &&
                      std::is_same_v<detail::part_t<detail::any_memory, Memory, Parts...>, Memory>,
                  "kvsift: a part of a kv_tensor is another than its type says; leave one of them out");
    auto asked = policy_.columns(), carried = policy_.carried();
    std::size_t total = 0;
    std::size_t const vector_bytes = Payload::bytes(shape.head_dim);
    policy_facts const facts = policy_.facts();
    check_position(policy_, position_, slots_);
    lay_out<Placement>(nullptr, shape, vector_bytes, carried, slots_.extent, Position::ranked, options.order, bytes_, total);
    bytes_.tables = plane_bytes(asked.table_floats(shape.head_dim) * sizeof(float));
    std::size_t const scratch = workspace_view<columns>::carve(nullptr, shape, asked, facts, slots_.longest, options, splits).bytes;
    memory_ = source_.allocate(total + bytes_.tables);
    workspace_ = source_.allocate(scratch + cache_tables::carve(nullptr, shape).bytes);
    bound_.tables = cache_tables::carve(workspace_.data() + scratch, shape);
    bound_.planes = lay_out<Placement>(memory_.data(), shape, vector_bytes, carried, slots_.extent, Position::ranked,
                                       options.order, bytes_, total);
    bound_.work = workspace_view<columns>::carve(workspace_.data(), shape, asked, facts, slots_.longest, options, splits);
    float* const tables = reinterpret_cast<float*>(memory_.data() + total);
    write_array(source_, tables, bytes_.tables / sizeof(float), [&](float* to) { asked.bind(shape.head_dim, to, tables); });
    bound_.work.staging.stored = bound_.planes.stored = asked;
    bound_.planes.stored.keep_only(carried);
    bound_.disposal = detail::given_part<detail::any_disposal, Disposal>(parts...);
    table_ = position_.table(shape, static_cast<std::uint32_t>(bound_.work.slots));
    bound_.who = all();
    bind_reading();
    if constexpr (realigned) {
      realigning_ = source_.allocate(realigning_bytes(shape, position_));
      bound_.planes.fell = reinterpret_cast<std::uint32_t*>(realigning_.data());
    }
    write_array(source_, bound_.tables.limits, slots_.limits.size(), [&](std::uint32_t* to) { std::copy(slots_.limits.begin(), slots_.limits.end(), to); });
    write_array(source_, bound_.tables.rooms, slots_.rooms.size(), [&](std::uint32_t* to) { std::copy(slots_.rooms.begin(), slots_.rooms.end(), to); });
    clear();
  }

  /// The same where the options are as usual.
  template <class First, class... Parts>
    requires detail::is_part<First>
  kv_tensor(cache_shape const& shape, std::type_identity_t<Policy> const& policy, First const& first, Parts const&... parts)
      : kv_tensor(shape, policy, cache_options{}, first, parts...) {}

  /// What such a cache would take: arithmetic only. Throws bad_argument as the constructor does. Beside it stands the table of a
  /// rotation that is applied on reading, 4 bytes a slot of the longest row and component.
  static memory_plan plan(cache_shape const& shape, Policy const& policy, cache_options const& options = {}, Position const& position = {}) {
    memory_plan needed;
    auto const asked = policy.columns(), carried = policy.carried();
    slot_plan const slots = plan_slots(shape, policy, options, Placement::grain);
    check_position(policy, position, slots);
    needed.capacity = slots.capacity;
    std::size_t total = 0;
    lay_out<Placement>(nullptr, shape, Payload::bytes(shape.head_dim), carried, slots.extent, Position::ranked, options.order,
                       needed.cache, total);
    needed.cache.tables = plane_bytes(asked.table_floats(shape.head_dim) * sizeof(float));
    needed.workspace = workspace_view<columns>::carve(nullptr, shape, asked, policy.facts(), slots.longest, options, splits).bytes +
                       cache_tables::carve(nullptr, shape).bytes + realigning_bytes(shape, position);
    return needed;
  }

  /// Forgets every token, and no sequence is paused. Takes and returns no memory where the cache lies in the host's. Where it lies elsewhere,
  /// waits until all that was enqueued is done, then copies states there; the verb `clear` does not wait.
  void clear() {
    cache_shape const& s = shape();
    view_type const& planes = bound_.planes;
    auto const head_of = [&](std::uint32_t r) { return r / s.layer_rows() * s.kv_heads + r % s.kv_heads; };
    write_array(source_, planes.states, s.rows(), [&](row_state* states) {
      for (std::uint32_t r = 0; r < s.rows(); ++r) states[r] = {0, 0, 0, slots_.limits[head_of(r)]};
    });
    if (planes.firsts != nullptr)
      write_array(source_, planes.firsts, s.rows() + std::size_t{1}, [&](std::uint64_t* firsts) {
        std::uint64_t first = 0, next = 0;  // slot of the row; of the next layer's or sequence's first row
        for (std::uint32_t r = 0; r < s.rows(); ++r) {
          if (r % s.kv_heads == 0) {
            first = next;
            next += slots_.shares[r / s.layer_rows()];
          }
          firsts[r] = first;
          first += whole(slots_.rooms[head_of(r)], Placement::grain);
        }
        firsts[s.rows()] = next;
      });
    if constexpr (Placement::paged)
      write_array(source_, planes.pool.free, planes.pool.words(), [&](std::uint32_t* free) { page_pool{free, planes.pool.pages}.fill(); });
    if (planes.fell != nullptr)
      write_array(source_, planes.fell, s.rows(), [&](std::uint32_t* fell) { std::fill_n(fell, s.rows(), 0u); });
    write_array(source_, bound_.tables.paused, s.sequences, [&](std::uint32_t* paused) { std::fill_n(paused, s.sequences, 0u); });
    counted_.assign(std::size_t{s.layers} * s.sequences, {});
    paused_.assign(s.sequences, false);
  }

  cache_shape const& shape() const { return bound_.planes.shape; }
  Policy const& policy() const { return policy_; }
  std::uint32_t capacity() const { return slots_.capacity; }
  cache_options const& options() const { return options_; }
  static constexpr kvsift::keys_are keys_are() { return Position::keys; }
  /// The planes, to read or to hand to a task.
  view_type const& view() const { return bound_.planes; }
  Memory const& memory() const { return source_; }
  /// Calls f(planes) with planes that the host can read: these, or a copy of all of them where they lie elsewhere.
  template <class F>
  void read_planes(F const& f) const {
    on_host(f, false);
  }
  /// The same for f that writes to them.
  template <class F>
  void change_planes(F const& f) {
    on_host(f, true);
  }
  cache_bytes const& bytes() const { return bytes_; }
  /// Bytes taken from the machine for the planes; beside them stands the workspace.
  std::size_t allocated_bytes() const { return memory_.size(); }
  std::size_t workspace_bytes() const { return workspace_.size() + realigning_.size(); }
  Position const& position() const { return position_; }
  /// The most slots that a head of the layer holds; under a measured budget, of heads that came out even.
  std::uint32_t held(std::uint32_t layer) const {
    (void)checked(layer, 0);
    std::uint32_t most = 0;
    for (std::uint32_t s = 0; s < shape().sequences; ++s) most = std::max(most, counted(layer, s).most);
    return most;
  }
  /// The same of one sequence.
  std::uint32_t held(std::uint32_t layer, std::uint32_t sequence) const { return checked(layer, sequence).most; }
  /// Tokens of a sequence that came to a layer since it was cleared: the position of its next one.
  std::uint32_t seen(std::uint32_t layer, std::uint32_t sequence) const { return checked(layer, sequence).seen; }
  /// The most slots that a head of the layer can hold by now.
  std::uint32_t most_held(std::uint32_t layer) const { return most_slots({held(layer), 0}); }
  std::uint32_t most_slots(slots_held const& held) const { return held.most + (slots_.longest - slots_.capacity); }
  bool paused(std::uint32_t sequence) const {
    (void)checked(0, sequence);
    return paused_[sequence];
  }

  /// Length of the piece that the next `tokens` tokens of a prompt begin with: all of them, unless the policy takes long
  /// prompts in pieces. `step` cuts what it is given accordingly; drivers ask in order to see the cache after each piece.
  /// Of sequences that go on alike; one by itself is asked as sequence(s)[layer].next_piece(tokens).
  std::uint32_t next_piece(std::uint32_t layer, std::uint32_t tokens) const {
    return cache_rows<kv_tensor const>{*this, layer, all()}.next_piece(tokens);
  }

  /// One layer of the cache: what append, attend, observe, compress and step work on. They pass over sequences that are paused.
  cache_rows<kv_tensor> layer(std::uint32_t l) { return {*this, l, all()}; }
  cache_rows<kv_tensor> operator[](std::uint32_t l) { return layer(l); }
  /// Sequences first .. first + count - 1 by themselves, paused or not; the arrays that a verb is given then hold these alone.
  /// sequence(3)[0] is one layer of one. Throws bad_argument if there are no such.
  cache_part<kv_tensor> sequences(std::uint32_t first, std::uint32_t count) {
    require(first < shape().sequences, "sequence", first, "the cache has fewer; make it with more in cache_shape.sequences");
    require(count >= 1 && count <= shape().sequences - first, "sequences", count, "the cache has fewer behind the first; give 1 to as many");
    return {*this, {first, count, true}};
  }
  cache_part<kv_tensor> sequence(std::uint32_t s) { return sequences(s, 1); }
  /// All of them. Verbs pass over those that are paused, but for clear, pause and resume.
  cache_part<kv_tensor> everyone() { return {*this, all()}; }

  /// After a cut: slots that stand one place lower than before are realigned, if the position rule says so. For the verbs.
  template <class Executor>
  void realign(Executor const& on, sequence_range who, std::uint32_t first_layer, std::uint32_t layers) const {
    if constexpr (realigned)
      position_.realign(on, bound_to(who), first_layer, layers, realigning_.data() + plane_bytes(shape().rows() * sizeof(std::uint32_t)));
  }

  // For the verbs: what their tasks are given, the plan they follow, and what they count.
  bound_type const& bound() const { return bound_; }
  bound_type bound_to(sequence_range who) const {
    bound_type to = bound_;
    to.who = who;
    return to;
  }
  slot_plan const& slots() const { return slots_; }
  slots_held& counted(std::uint32_t layer, std::uint32_t sequence) { return counted_[std::size_t{layer} * shape().sequences + sequence]; }
  slots_held const& counted(std::uint32_t layer, std::uint32_t sequence) const { return counted_[std::size_t{layer} * shape().sequences + sequence]; }
  bool takes_part(sequence_range who, std::uint32_t sequence) const { return who.named || !paused_[sequence]; }
  void count_paused(sequence_range who, bool paused) { std::fill_n(paused_.begin() + who.first, who.count, paused); }
  void count_cleared(sequence_range who) {
    for (std::uint32_t l = 0; l < shape().layers; ++l) std::fill_n(&counted(l, who.first), who.count, slots_held{});
  }
  /// For engines that replay a captured step of every layer, one token for each sequence that is not paused, and its evict: the verbs counted
  /// what they recorded, for its first run; call this before each further one. Throws bad_argument, and counts nothing, where no slot is left
  /// for a token.
  void count_replayed() {
    moment const moments = policy_.facts().moments;
    bool const after = includes(moments, moment::after_attention), before = includes(moments, moment::before_append);
    for (std::uint32_t l = 0; l < shape().layers; ++l)
      layer(l).each([&](slots_held const& n, std::uint32_t) {
        bool const fits = !layer(l).full(n) || (before && slots_.most[l] != no_limit);
        require(fits || !after, "slots held", n.most, "are all there are; evict before the step is launched again");
        require(fits, "slots held", n.most, "are all there are, and no rule of the policy makes room; plan a larger capacity");
      });
    for (std::uint32_t l = 0; l < shape().layers; ++l) {
      if (before) layer(l).count_cut(1);
      layer(l).count_arrived(1);
      if (after) layer(l).count_cut(0);
    }
  }

 private:
  slots_held const& checked(std::uint32_t layer, std::uint32_t sequence) const {
    require(layer < shape().layers, "layer", layer, "the cache has fewer layers");
    require(sequence < shape().sequences, "sequence", sequence, "the cache has fewer; make it with more in cache_shape.sequences");
    return counted(layer, sequence);
  }
  /// Refuses policies that the position rule cannot follow.
  static void check_position(Policy const& policy, Position const& position, slot_plan const& slots) {
    policy_facts const facts = policy.facts();
    if (facts.prompt_queries && Position::keys != kvsift::keys_are::encoded)
      throw bad_argument("a score of the policy reads encoded queries and keys, and the position rule has them unrotated; take original_positions");
    if (facts.prompt_queries && !position.reading(rotary_view{}).bias.none())
      throw bad_argument("a score of the policy expects attention from queries and keys alone, and the position rule adds linear biases; take another policy");
    if constexpr (windowed_rule<Position>) {
      if (!facts.window)
        throw bad_argument("the position rule needs what stays to be sinks and the newest tokens, and the policy chooses otherwise; take in_cache_positions");
    }
    if constexpr (realigned) {
      static_assert(std::is_same_v<Payload, fp32_payload>,
                    "kvsift: vectors that are realigned again and again are stored in fp32; give fp32_payload");
      if (includes(facts.moments, moment::before_append | moment::piece_end | moment::before_piece))
        throw bad_argument("the position rule realigns slots after each token that goes, and a rule of the policy acts before a token is "
                           "written or on pieces; take a policy that acts after attention");
      moment const acts = token_by_token ? moment::after_attention : moment::after_attention | moment::prompt_end;
      if (facts.moments != moment{} && !includes(facts.moments, acts))
        throw bad_argument("the position rule realigns slots after each token that goes, and no rule of the policy acts after attention: nothing would go; "
                           "take a policy that does");
      if constexpr (token_by_token) detail::with_measured(policy.budget, [](auto const&) {
        throw bad_argument("the position rule takes a prompt token by token, and the budget is measured when one ends; take a budget that is not");
      });
      std::uint32_t most = 0;
      for (std::uint32_t const limit : slots.most) most = std::max(most, std::min(limit, slots.capacity));
      if (facts.moments != moment{}) position.check(most);
    }
  }
  sequence_range all() const { return {0, shape().sequences, false}; }
  /// What a position rule that realigns works in: cache_view::fell, then its blocks.
  static std::size_t realigning_bytes(cache_shape const& shape, Position const& position) {
    if constexpr (realigned) return plane_bytes(shape.rows() * sizeof(std::uint32_t)) + shape.rows() * position.block_bytes(shape);
    else return 0;
  }

  /// The rotation that tasks apply on reading: the table itself, or a copy of it where the cache lies elsewhere.
  void bind_reading() {
    rotary_view table = table_.view();
    if constexpr (!is_host_memory<Memory>) {
      if (std::size_t const bytes = table_.floats() * sizeof(float); bytes != 0) {
        rotation_ = source_.allocate(2 * bytes);
        source_.copy_in(rotation_.data(), table.cosines, bytes);
        source_.copy_in(rotation_.data() + bytes, table.sines, bytes);
        auto const* const copied = reinterpret_cast<float const*>(rotation_.data());
        table = table_.view_of(copied, copied + table_.floats());
      }
    }
    bound_.reading = position_.reading(table);
    bound_.reading.sinks = policy_.facts().sinks;
  }
  template <class F>
  void on_host(F const& f, bool written) const {
    if constexpr (is_host_memory<Memory>) {
      f(bound_.planes);
    } else {
      std::size_t const bytes = memory_.size() - bytes_.tables;
      host_memory const copy(bytes);
      source_.copy_out(copy.data(), memory_.data(), bytes);
      cache_bytes unused;
      std::size_t total = 0;
      f(lay_out<Placement>(copy.data(), shape(), bound_.planes.vector_bytes, bound_.planes.stored, slots_.extent, Position::ranked,
                           options_.order, unused, total));
      if (written) source_.copy_in(memory_.data(), copy.data(), bytes);
    }
  }

  Policy policy_;
  Position position_;
  cache_options options_;
  slot_plan slots_;
  [[no_unique_address]] Memory source_;
  bound_type bound_;
  cache_bytes bytes_;
  typename Memory::block memory_;
  typename Memory::block workspace_;
  typename Memory::block realigning_;  ///< see realigning_bytes
  typename Memory::block rotation_;    ///< a copy of table_ where the host's is out of reach
  rotary_table table_;
  std::vector<slots_held> counted_;  ///< [layers, sequences]
  std::vector<bool> paused_;         ///< [sequences]
};

template <class Policy, class First, class... Parts>
  requires detail::is_part<First>
kv_tensor(cache_shape const&, Policy const&, First const&, Parts const&...)
    -> kv_tensor<Policy, detail::part_t<detail::any_payload, fp32_payload, First, Parts...>,
                 detail::part_t<detail::any_position, original_positions, First, Parts...>, detail::part_t<detail::any_disposal, dropped, First, Parts...>,
                 detail::part_t<detail::any_placement, in_rows, First, Parts...>, detail::part_t<detail::any_memory, main_memory, First, Parts...>>;

template <class Policy, class... Parts>
kv_tensor(cache_shape const&, Policy const&, cache_options const& = {}, Parts const&...)
    -> kv_tensor<Policy, detail::part_t<detail::any_payload, fp32_payload, Parts...>, detail::part_t<detail::any_position, original_positions, Parts...>,
                 detail::part_t<detail::any_disposal, dropped, Parts...>, detail::part_t<detail::any_placement, in_rows, Parts...>,
                 detail::part_t<detail::any_memory, main_memory, Parts...>>;

}  // namespace kvsift
