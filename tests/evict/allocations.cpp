// Nothing is allocated in a step, by no named policy and no executor, from the first token on.
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/kvsift.hpp>
#include <support/allocations.hpp>
#include <support/any_executor.hpp>
#include <support/marked_vectors.hpp>
#include <support/policies.hpp>

TEST_CASE("prompts and tokens are stepped and evicted without an allocation") {
  if (!support::allocations_are_counted()) {
    MESSAGE("skipped: this sanitizer keeps its own operator new");
    return;
  }
  kvsift::cache_shape const shape{2, 2, 2, 9, 1};
  kvsift::parallel_executor const pool(2);
  for (support::named_policy const& named : support::named_policies(10)) {
    CAPTURE(named.name);
    for (bool const parallel : {false, true}) {
      CAPTURE(parallel);
      support::any_executor const on = parallel ? support::any_executor(pool) : support::any_executor();
      kvsift::kv_tensor cache{shape, named.value, {.capacity = 40, .max_piece = 14}};
      support::marked_vectors const data{3, shape};
      std::vector<float> out(std::size_t{14} * shape.query_heads() * shape.head_dim);
      for (std::uint32_t seen = 0, tokens = 14; seen < 36; seen += tokens, tokens = seen == 20 ? 3 : 1) {
        CAPTURE(seen);
        for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
          support::marked_vectors::piece const p = data.make_piece(layer, seen, tokens);
          support::allocation_scope const counted;
          kvsift::step(on, cache[layer], p.view(), out.data());
          REQUIRE(counted.count() == 0);
        }
        support::allocation_scope const counted;
        kvsift::evict(on, cache);
        REQUIRE(counted.count() == 0);
      }
    }
  }
}
