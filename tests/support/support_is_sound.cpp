// What the other tests lean on: random cases, file readers, comparisons.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <oracle/replay_oracle.hpp>
#include <support/allocations.hpp>
#include <support/approx.hpp>
#include <support/json_lite.hpp>
#include <support/policy_json.hpp>
#include <support/random_trace.hpp>
#include <support/safetensors_lite.hpp>
#include <support/seeds.hpp>
#include <support/trace_file.hpp>

TEST_CASE("a seed always makes the same case") {
  CHECK(support::draws(1).bits() == 10451216379200822465u);
  support::random_case const a = support::make_random_case(7, "roco"), b = support::make_random_case(7, "roco");
  CHECK(a.trace.keys == b.trace.keys);
  CHECK(a.expected.events == b.expected.events);
  CHECK(a.trace.keys != support::make_random_case(8, "roco").trace.keys);
}

TEST_CASE("random cases evict, stay within the budget and are seldom too close to call") {
  int close = 0, cases = 0, evictions = 0;
  std::set<int> dims;
  support::for_each_seed(25, [&](std::uint64_t seed) {
    for (std::string const& policy : oracle::policy_names()) {
      CAPTURE(policy);
      support::random_case const c = support::make_random_case(seed, policy, 48);
      CAPTURE(oracle::to_json(c.policy));
      ++cases;
      dims.insert(c.trace.dim);
      if (c.expected.smallest_gap < 1e-5) ++close;
      int const limit = oracle::make_rule(c.policy)->limit(c.trace.tokens);
      std::vector<int> gone(static_cast<std::size_t>(c.trace.kv_heads), 0);
      for (oracle::event const& e : c.expected.events) {
        int const count = static_cast<int>(e.positions.size());
        int& gone_of_head = gone[static_cast<std::size_t>(e.head)];
        if (e.what == oracle::event::kind::evict) gone_of_head += count;
        if (e.what == oracle::event::kind::final) {
          if (policy == "snapkv" || policy == "keydiff") {  // nothing goes in decode
            CHECK(count == std::min(limit, c.prompt) + c.trace.tokens - c.prompt);
          } else if (policy == "strided") {  // decode first fills what strides leave free
            int const over = c.prompt > limit ? (c.prompt - limit + c.policy.stride - 1) / c.policy.stride * c.policy.stride : 0;
            CHECK(count == std::min(limit, c.trace.tokens - over));
          } else if (policy != "ada_snapkv") {  // whose heads differ
            CHECK(count == std::min(limit, c.trace.tokens));
          }
          CHECK(count + gone_of_head == c.trace.tokens);
        }
      }
      evictions += gone[0];
      // A description survives its own JSON.
      std::string const text = oracle::to_json(c.policy);
      CHECK(oracle::to_json(support::describe(support::parse_json(text))) == text);
    }
  });
  MESSAGE(close << " of " << cases << " random cases have a comparison closer than 1e-5");
  CHECK(evictions > 0);
  CHECK(close * 4 < cases);
}

TEST_CASE("safetensors go there and back, and broken ones are refused") {
  support::draws d(3);
  oracle::trace const t = support::random_trace(d, {9, 4, 2, 5});
  std::string const bytes = support::trace_bytes(t);
  std::map<std::string, support::tensor> const back = support::parse_safetensors(bytes, "test");
  CHECK(back.at("queries").shape == std::vector<std::size_t>{9, 4, 5});
  CHECK(back.at("queries").numbers == t.queries);
  CHECK(back.at("values").numbers == t.values);
  for (std::size_t const size : {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{40}, bytes.size() - 1}) {
    CAPTURE(size);
    CHECK_THROWS_AS(support::parse_safetensors(bytes.substr(0, size), "test"), std::runtime_error);
  }
  std::string half = bytes;
  half.replace(half.find("F32"), 3, "F16");
  CHECK_THROWS_WITH(support::parse_safetensors(half, "test"), "test: tensor keys is F16, not F32");
}

TEST_CASE("json reads what the data holds and refuses the rest") {
  support::json const v = support::parse_json(R"( {"a": [1, -2.5e1, null, true], "b": {"c": "x\"y"}} )");
  CHECK(v["a"][1].value == -25);
  CHECK(v["a"][3].flag);
  CHECK(v["b"]["c"].text == "x\"y");
  CHECK_THROWS(v["a"][1 + 3]);
  CHECK_THROWS(v["missing"]);
  for (char const* const broken : {"", "{", "[1,]", "{\"a\":1,\"a\":2}", "[1] 2", "\"x", "nul"}) {
    CAPTURE(broken);
    CHECK_THROWS_AS(support::parse_json(broken), std::runtime_error);
  }
}

TEST_CASE("approximate comparison names the component, and NaN is never close") {
  std::vector<float> const want = {1, 100, 3, 4};
  CHECK(support::first_difference(std::vector<float>{1.001f, 100, 3, 4}, want, 2, 1e-4) == "");
  std::string const off = support::first_difference(std::vector<float>{1, 100, 3.001f, 4}, want, 2, 1e-4);
  CHECK(off.find("component 0 of vector 1") == 0);
  CHECK(support::first_difference(std::vector<float>{1, std::nanf(""), 3, 4}, want, 2, 1e-4) != "");
  CHECK(support::first_difference(std::vector<float>{1}, want, 2, 1e-4) != "");
}

TEST_CASE("allocations are counted, of every kind and thread") {
  if (!support::allocations_are_counted()) {
    MESSAGE("skipped: this sanitizer keeps its own operator new");
    return;
  }
  support::allocation_scope const scope;
  CHECK(scope.count() == 0);
  std::size_t const before = scope.count();
  auto* const kept = new std::vector<double>(100);
  CHECK(scope.count() >= before + 2);
  delete kept;
  struct alignas(64) line {
    char bytes[64];
  };
  std::size_t const plain = scope.count();
  line* const volatile aligned = new line[3];
  CHECK(scope.count() > plain);
  delete[] aligned;
  std::size_t const main_thread = scope.count();
  std::thread([] {
    int* volatile const p = new int(1);
    delete p;
  }).join();
  CHECK(scope.count() > main_thread);
}

TEST_CASE("fewer seeds are the first of them, and never none") {
  struct variable {  // set as long as it lives
    variable(char const* name, char const* value) : name_(name) {
      if (char const* const had = std::getenv(name)) had_ = had;
      if (value != nullptr) setenv(name, value, 1);
      else unsetenv(name);
    }
    ~variable() {
      if (had_) setenv(name_, had_->c_str(), 1);
      else unsetenv(name_);
    }
    char const* name_;
    std::optional<std::string> had_;
  };
  using list = std::vector<std::uint64_t>;
  variable const no_seed("KVSIFT_SEED", nullptr);
  {
    variable const all("KVSIFT_FEWER_SEEDS", nullptr);
    CHECK(support::seeds(3, 5) == list{5, 6, 7});
    CHECK(support::often(100) == 100);
  }
  variable const quarter("KVSIFT_FEWER_SEEDS", "4");
  CHECK(support::seeds(9, 5) == list{5, 6, 7});
  CHECK(support::seeds(1) == list{1});
  CHECK(support::often(100) == 0);
  variable const wrong("KVSIFT_FEWER_SEEDS", "few");
  CHECK_THROWS_WITH(support::seeds(9), "KVSIFT_FEWER_SEEDS: 'few' is not a number; give n to take an nth of the seeds");
}
