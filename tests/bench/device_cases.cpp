// What rows of bench_device say of themselves: bytes are those of the library's own structures, and names tell rows apart.
#include <cstdint>
#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <bench/device/cases.hpp>
#include <kvsift/kvsift.hpp>

namespace {

using namespace bench;
using u32 = std::uint32_t;

/// Bytes a slot of the columns that a policy carries in decode.
template <class Policy>
u32 columns_of_decode(Policy const& p) {
  return static_cast<u32>(p.carried().bytes_per_slot());
}

}  // namespace

TEST_CASE("bytes of K and V are those of the cache that holds them") {
  for (storage const s : {storage::fp32, storage::fp16, storage::bf16, storage::fp8})
    for (u32 const dim : {64u, 128u}) {
      decode_case const c{part::attention, policy_kind::none, s, placement::rows, dim, 4, 8, 512, 8};
      std::size_t const vector = s == storage::fp32  ? kvsift::fp32_payload::bytes(dim)
                                 : s == storage::fp8 ? kvsift::fp8_payload::bytes(dim)
                                                     : kvsift::bf16_payload::bytes(dim);
      CHECK(c.vector_bytes() == 2.0 * 8 * 8 * 512 * static_cast<double>(vector));
    }
  CHECK(decode_case{.held = 512}.vector_bytes() == 2097152);  // 4 b Hkv B D
  CHECK(decode_case{.stored = storage::fp8, .held = 512}.vector_bytes() == 1048576);
  CHECK(decode_case{.stored = storage::fp8}.token_bytes() == 8 * 2 * 128 * (4 + 1));  // read as fp32
  CHECK(decode_case{.head_dim = 64, .held = 32768, .batch = 64}.vector_bytes() == 4294967296);
  decode_case const plain{.group = 8, .held = 512};
  CHECK(plain.bytes() - plain.vector_bytes() == 2.0 * 8 * 8 * 128 * 4);  // queries and output
}

TEST_CASE("a policy's bytes a slot are its columns', read and written where attention feeds them, and positions where they decide") {
  using enum policy_kind;
  u32 const position = 4;
  CHECK(step_state_bytes(none) == 2 * columns_of_decode(kvsift::full()));
  CHECK(step_state_bytes(accumulated_attention) == 2 * columns_of_decode(kvsift::accumulated_attention_policy(64, 8)));
  CHECK(step_state_bytes(roco) == 2 * columns_of_decode(kvsift::roco(64, 9)) + position);
  CHECK(step_state_bytes(heavy_hitter) == 2 * columns_of_decode(kvsift::heavy_hitter(64, 4, 10)) + position);
  CHECK(step_state_bytes(tova) == columns_of_decode(kvsift::tova(64)));
  CHECK(step_state_bytes(key_norm) == columns_of_decode(kvsift::key_norm(64, 4, 10)) + position);
  CHECK(step_state_bytes(lsh_64) == columns_of_decode(kvsift::lsh(64, 4, 10, kvsift::signature{64})) + position);
  CHECK(step_state_bytes(streaming_llm) == columns_of_decode(kvsift::streaming_llm(4, 60)));
  for (policy_kind const k : {none, accumulated_attention, roco, heavy_hitter, tova, key_norm, lsh_64, streaming_llm, ragged})
    CHECK(choice_state_bytes(k) <= step_state_bytes(k));
}

TEST_CASE("names tell rows apart, and begin with what is measured") {
  std::set<std::string> names;
  for (decode_case const& c : decode_matrix()) {
    CHECK(compiled(c));
    CHECK_MESSAGE(names.insert(c.name()).second, c.name());
  }
  for (select_case const& c : select_matrix()) {
    CHECK_MESSAGE(names.insert(c.name()).second, c.name());
    if (c.count == 256) CHECK_MESSAGE(names.insert(c.sorted_name("select_cub_radix_sort")).second, c.name());
  }
  CHECK(names.contains("attention/bf16/rows/D128/g4/B8192/b8"));
  CHECK(names.contains("step/roco/fp32/pages/D64/g1/B512/b1"));
  CHECK(names.contains("attention/fp8/rows/D128/g4/B32768/b8"));
  CHECK(names.contains("step/roco/fp8/pages/D64/g8/B2048/b1"));
  CHECK(!names.contains("step/tova/fp32/pages/D64/g1/B512/b1"));
  CHECK(!names.contains("step/tova/fp8/rows/D64/g1/B512/b1"));
}

TEST_CASE("passes exceed an L2 five times, unless that takes more than 24 GB or 256 layers") {
  constexpr double l2 = 60e6;
  for (decode_case const& c : decode_matrix()) {
    CAPTURE(c.name());
    u32 const layers = c.layers(l2);
    CHECK(layers >= 1);
    CHECK(layers <= 256);
    CHECK((layers * c.bytes() >= 5 * l2 || layers == 256 || (layers + 1) * c.vector_bytes() > 24e9));
    CHECK((layers == 1 || layers * c.vector_bytes() <= 24e9));
  }
}

TEST_CASE("the memory that a row says it needs is no less than its cache's plan") {
  constexpr double l2 = 60e6;
  for (u32 const held : {512u, 8192u})
    for (u32 const batch : {1u, 8u}) {
      decode_case const c{part::step, policy_kind::roco, storage::bf16, placement::rows, 128, 4, 8, held, batch};
      using cache = kvsift::kv_tensor<decltype(kvsift::roco(64, 9)), kvsift::bf16_payload>;
      kvsift::memory_plan const plan = cache::plan(c.shape(l2), kvsift::roco(held, held / 4), {.group_threads = 128});
      CHECK(c.memory(l2) - decode_case::memory_beside >= static_cast<double>(plan.cache.total() + plan.workspace));
    }
}

TEST_CASE("bytes that move are those of the slots that have to") {
  for (bool const keeps_order : {false, true})
    for (u32 const one_in : {2u, 10u, 50u}) {
      move_case const c{keeps_order, 1, 10000, one_in, 64};
      u32 const kept = c.held - c.victims();
      u32 moves = 0, first = c.held;
      for (u32 i = 0; i < c.held; ++i) {
        bool const goes = (i * 7) % one_in == 0;
        if (goes && first == c.held) first = i;
        if (keeps_order ? !goes && i > first : goes && i < kept) ++moves;
      }
      CHECK(c.bytes() == doctest::Approx(moves * 2.0 * 2 * 64 * 2).epsilon(0.01));
    }
}

TEST_CASE("a prompt's bytes: its keys, twice a mass, survivors; operations of its attention") {
  prompt_case const c{32768, 2048};
  CHECK(c.key_bytes() == 32768.0 * 8 * 128 * 4);
  CHECK(c.bytes() > c.key_bytes() + 2 * c.mass_bytes());
  CHECK(c.bytes() < 1.3 * c.key_bytes());
  CHECK(c.attention_flops() / 790e12 == doctest::Approx(11.1e-3).epsilon(0.01));
  CHECK(select_case{1024, 131072, 2048}.bytes() == 536870912);
}

TEST_CASE("a model's step reads every weight once, and every layer's cache") {
  model_case const c{};
  double const of_layer = 2048.0 * 2048 * 2 + 2048.0 * 512 * 2 + 3.0 * 2048 * 8192;
  CHECK(c.weights() == 16 * of_layer + 32000.0 * 2048);
  CHECK(c.bytes() == 2 * c.weights() + 16 * c.cache().bytes());
}

TEST_CASE("the guide's filters name rows that there are") {
  std::ifstream page(std::string(KVSIFT_SOURCE_DIR) + "/docs/guide/gpu.md");
  REQUIRE(page.good());
  std::vector<std::string> names;
  for (decode_case const& c : decode_matrix()) names.push_back(c.name());
  for (select_case const& c : select_matrix()) names.push_back(c.name());
  for (u32 const tokens : {2048u, 8192u, 32768u, 131072u}) names.push_back(prompt_case{tokens}.name());
  for (bool const keeps_order : {false, true}) names.push_back(move_case{keeps_order}.name());
  names.push_back(model_case{}.name());
  u32 found = 0;
  for (std::string line; std::getline(page, line);) {
    std::smatch cell;
    if (!std::regex_search(line, cell, std::regex(R"(^\| G\d+[^|]*\|[^`]*`([^`]+)`)"))) continue;
    ++found;
    CAPTURE(line);
    std::string filter = cell[1];
    for (std::size_t at = 0; (at = filter.find("\\|", at)) != std::string::npos;) filter.erase(at, 1);  // as a table has to write it
    std::regex const wanted(filter);
    bool any = false;
    for (std::string const& name : names) any = any || std::regex_search(name + "/iterations:1/manual_time", wanted);
    CHECK(any);
  }
  CHECK(found == 15);
}
