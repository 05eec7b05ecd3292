// One operation on a cache of the size asked for, inside measured(): callgrind counts what happens there.
//   instruction_driver OPERATION SLOTS      prints the number of heads
// fp32, head_dim 128, one thread. See ../instructions.py.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <bench/common/running_cache.hpp>
#include <kvsift/policy/named.hpp>

namespace {

constexpr kvsift::cache_shape shape{.kv_heads = 4, .head_dim = 128};

}  // namespace

// The counted region, known to callgrind by its name.
extern "C" __attribute__((noinline)) void measured(void (*body)(void*), void* what) { body(what); }

namespace {

template <class Placement = kvsift::in_rows, class Policy, class Body>
void count(Policy const& policy, std::uint32_t slots, Body const& body) {
  bench::running_cache<Policy, kvsift::fp32_payload, Placement> running(policy, shape, slots);
  auto once = [&] { body(running); };
  measured([](void* what) { (*static_cast<decltype(once)*>(what))(); }, &once);
}

void overwrite(auto& running, float const* vector) {
  auto const& view = running.cache().view();
  for (std::uint32_t r = 0; r < shape.rows(); ++r) {
    auto const row = view.row(r);
    kvsift::remove_slot(kvsift::serial_group{}, view, row, row.state->held / 2);
    kvsift::append_row<kvsift::fp32_payload>(kvsift::serial_group{}, view, row, {vector, vector, shape.head_dim, row.state->next});
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "instruction_driver: give an operation and a number of slots\n");
    return 2;
  }
  std::string_view const operation = argv[1];
  std::uint32_t const slots = static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10));
  kvsift::serial_executor const on;
  bench::random_vectors random;
  float const* const vector = random.next(shape.head_dim);
  if (operation == "attention")
    count(kvsift::full(), slots, [&](auto& running) { running.attend(on); });
  else if (operation == "accumulated_attention")
    count(kvsift::accumulated_attention_policy(slots, slots * 3 / 10), slots, [&](auto& running) { running.step(on); });
  else if (operation == "roco")
    count(kvsift::roco(slots, slots * 3 / 10 - 9), slots, [&](auto& running) { running.step(on); });
  else if (operation == "attention_in_pages")
    count<kvsift::in_pages>(kvsift::full(), slots, [&](auto& running) { running.attend(on); });
  else if (operation == "roco_in_pages")
    count<kvsift::in_pages>(kvsift::roco(slots, slots * 3 / 10 - 9), slots, [&](auto& running) { running.step(on); });
  else if (operation == "key_norm")
    count(kvsift::key_norm(slots, 4, 10), slots, [&](auto& running) { running.append(on, 0); });
  else if (operation == "lsh_64")
    count(kvsift::lsh(slots, 4, 10, kvsift::signature{64}), slots, [&](auto& running) { running.append(on, 0); });
  else if (operation == "lsh_16")
    count(kvsift::lsh(slots, 4, 10, kvsift::signature{16}), slots, [&](auto& running) { running.append(on, 0); });
  else if (operation == "overwrite")
    count(kvsift::full(), slots, [&](auto& running) { overwrite(running, vector); });
  else {
    std::fprintf(stderr, "instruction_driver: operation '%s' is unknown\n", argv[1]);
    return 2;
  }
  std::printf("%u\n", shape.rows());
}
