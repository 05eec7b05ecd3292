// Feeds a recorded trace through a policy and prints every decision: what it would have done on a model of your own.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <common/policy_file.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/kvsift.hpp>
#include <reference_model/io/safetensors.hpp>
#include <reference_model/io/write_safetensors.hpp>
#include <support/thread_group.hpp>

namespace {

using reference_model::bad_file;
using cache_type = kvsift::kv_tensor<kvsift::any_policy>;
using positions = std::vector<std::uint32_t>;

/// One layer, teacher-forced. queries [T, Hq, D], keys and values [T, Hkv, D], projection [D, bits] or empty,
/// uniforms [T, Hkv] or empty.
struct trace {
  std::uint32_t tokens = 0, query_heads = 0, kv_heads = 0, dim = 0, bits = 0;
  std::vector<float> queries, keys, values, projection, uniforms;
};

trace load_trace(std::string const& path) {
  reference_model::safetensors_reader file{std::filesystem::path(path)};
  auto const shape_of = [&](char const* name) {
    auto const found = file.tensors().find(name);
    if (found == file.tensors().end()) throw bad_file(path, std::string("tensor '") + name + "' is missing; a trace has queries, keys and values");
    if (found->second.shape.size() != 3)
      throw bad_file(path, std::string("tensor '") + name + "' has shape " + reference_model::shown(found->second.shape) + "; three dimensions are expected");
    for (std::uint64_t s : found->second.shape)
      if (s < 1 || s > 1'000'000) throw bad_file(path, std::string("tensor '") + name + "' has shape " + reference_model::shown(found->second.shape) + "; each dimension is 1 to 1000000");
    return found->second.shape;
  };
  auto const q = shape_of("queries"), k = shape_of("keys");
  trace t;
  t.tokens = static_cast<std::uint32_t>(q[0]);
  t.query_heads = static_cast<std::uint32_t>(q[1]);
  t.kv_heads = static_cast<std::uint32_t>(k[1]);
  t.dim = static_cast<std::uint32_t>(q[2]);
  if (t.query_heads % t.kv_heads != 0)
    throw bad_file(path, "queries have " + std::to_string(t.query_heads) + " heads and keys " + std::to_string(t.kv_heads) + "; the first must be a multiple of the second");
  t.queries.resize(q[0] * q[1] * q[2]);
  t.keys.resize(q[0] * k[1] * q[2]);
  t.values.resize(t.keys.size());
  file.read("queries", q, t.queries.data());
  file.read("keys", {q[0], k[1], q[2]}, t.keys.data());
  file.read("values", {q[0], k[1], q[2]}, t.values.data());
  if (auto const found = file.tensors().find("projection"); found != file.tensors().end()) {
    auto const shape = found->second.shape;
    if (shape.size() != 2 || shape[0] != q[2] || shape[1] < 4 || shape[1] > 64)
      throw bad_file(path, "tensor 'projection' has shape " + reference_model::shown(shape) + "; give [" + std::to_string(t.dim) + ", 4 to 64 bits]");
    t.bits = static_cast<std::uint32_t>(shape[1]);
    t.projection.resize(shape[0] * shape[1]);
    file.read("projection", shape, t.projection.data());
  }
  if (auto const found = file.tensors().find("uniforms"); found != file.tensors().end()) {
    std::vector<std::uint64_t> const shape = found->second.shape, expected = {q[0], k[1]};
    if (shape != expected)
      throw bad_file(path, "tensor 'uniforms' has shape " + reference_model::shown(shape) + "; give one draw for each token and KV head, " + reference_model::shown(expected));
    t.uniforms.resize(q[0] * k[1]);
    file.read("uniforms", shape, t.uniforms.data());
    for (float const u : t.uniforms)
      if (!(u >= 0 && u < 1)) throw bad_file(path, "tensor 'uniforms' holds " + std::to_string(u) + "; give draws from 0 to below 1");
  }
  return t;
}

positions held(cache_type const& cache, std::uint32_t head) {
  auto const row = cache.view().row(head);
  positions p(row.positions, row.positions + row.state->held);
  std::sort(p.begin(), p.end());
  return p;
}

void print_positions(std::ostream& out, positions const& p) {
  out << '[';
  for (std::size_t i = 0; i < p.size(); ++i) out << (i ? "," : "") << p[i];
  out << "]}\n";
}

/// Runs the trace. Decisions go to `out`; the outputs of the decode tokens [T - N, Hq, D] to `outputs`.
template <class Executor>
void run(Executor const& on, std::uint32_t threads, trace const& t, kvsift::catalogue_policy const& policy,
         std::uint32_t prompt, std::ostream& out, std::vector<float>& outputs) {
  kvsift::cache_shape const shape{1, t.kv_heads, t.query_heads / t.kv_heads, t.dim, 1};
  cache_type cache{shape, policy.value, {.capacity = policy.bounded ? 0 : t.tokens, .max_piece = prompt, .promised = t.tokens - prompt, .group_threads = threads}};
  std::size_t const q = std::size_t{t.query_heads} * t.dim, k = std::size_t{t.kv_heads} * t.dim;
  outputs.resize(q * t.tokens);
  std::vector<positions> before(t.kv_heads);

  auto const feed = [&](std::uint32_t first, std::uint32_t tokens) {
    kvsift::step(on, cache.layer(0), {t.queries.data() + first * q, t.keys.data() + first * k, t.values.data() + first * k, tokens, first < prompt},
                 outputs.data() + first * q);
    kvsift::evict(on, cache);
    for (std::uint32_t h = 0; h < t.kv_heads; ++h) {
      positions had = before[h], gone;
      for (std::uint32_t i = 0; i < tokens; ++i) had.push_back(first + i);
      before[h] = held(cache, h);
      std::set_difference(had.begin(), had.end(), before[h].begin(), before[h].end(), std::back_inserter(gone));
      if (gone.empty()) continue;
      out << "{\"event\":\"evict\",\"step\":" << first + tokens - 1 << ",\"head\":" << h << ",\"positions\":";
      print_positions(out, gone);
    }
  };
  for (std::uint32_t first = 0, piece = 0; first < prompt; first += piece) feed(first, piece = cache.next_piece(0, prompt - first));
  for (std::uint32_t h = 0; h < t.kv_heads; ++h)  // of heads that competed, what each was given
    out << "{\"event\":\"budget\",\"head\":" << h << ",\"slots\":" << (policy.bounded ? cache.view().row(h).state->limit : t.tokens) << "}\n";
  for (std::uint32_t token = prompt; token < t.tokens; ++token) feed(token, 1);
  for (std::uint32_t h = 0; h < t.kv_heads; ++h) {
    out << "{\"event\":\"final\",\"head\":" << h << ",\"positions\":";
    print_positions(out, before[h]);
  }
  outputs.erase(outputs.begin(), outputs.begin() + static_cast<std::ptrdiff_t>(prompt * q));
}

struct arguments {
  std::string trace, policy, executor = "serial", outputs;
  std::string prompt = "1";
};

std::uint32_t whole(std::string const& argument, std::string const& text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t value = 0;
  bool good = !text.empty() && text.size() < 12;
  for (char c : text) {
    good = good && c >= '0' && c <= '9';
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (!good || value < least || value > most)
    throw kvsift::bad_argument(argument + " is " + text + "; give a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return static_cast<std::uint32_t>(value);
}

int replay(arguments const& a) {
  programs::stated_policy stated = programs::read_policy(a.policy, programs::load_policy_object(a.policy));
  auto const make = [&] {
    try {
      return programs::make_policy(stated);
    } catch (kvsift::bad_argument const& e) {
      throw bad_file(a.policy, e.what());
    }
  };
  kvsift::catalogue_policy policy = make();
  if (stated.storage != "fp32") throw bad_file(a.policy, "policy field 'storage' is '" + stated.storage + "'; replay compares fp32 only");
  trace const t = load_trace(a.trace);
  if (policy.value.columns().get<kvsift::signature>().bits != 0) {
    if (t.bits == 0) throw bad_file(a.trace, "tensor 'projection' is missing; the policy compares signatures and takes it from the trace");
    stated.fields.projection = {t.projection.data(), t.projection.size()};
    stated.fields.projection_bits = t.bits;
    policy = make();
  }
  if (policy.value.facts().draws) {
    if (t.uniforms.empty()) throw bad_file(a.trace, "tensor 'uniforms' is missing; the policy draws and takes its draws from the trace");
    stated.fields.draws = {t.uniforms.data(), t.tokens, 1, t.kv_heads};
    policy = make();
  }
  std::uint32_t const prompt = whole("--prompt", a.prompt, 1, t.tokens);
  std::ostringstream decisions;  // nothing is printed before everything is known to be right
  std::vector<float> outputs;
  if (a.executor == "serial") {
    run(kvsift::serial_executor{}, 1, t, policy, prompt, decisions, outputs);
  } else if (a.executor == "parallel") {
    run(kvsift::parallel_executor{}, 1, t, policy, prompt, decisions, outputs);
  } else if (a.executor.rfind("block:", 0) == 0) {
    std::uint32_t const threads = whole("--executor block:", a.executor.substr(6), 1, 1024);
    run(support::thread_group_executor{threads}, threads, t, policy, prompt, decisions, outputs);
  } else if (a.executor == "cuda") {
    throw kvsift::bad_argument("--executor is cuda; this build has no CUDA; configure with -DKVSIFT_CUDA=ON or use serial");
  } else {
    throw kvsift::bad_argument("--executor is " + a.executor + "; give serial, parallel, block:N or cuda");
  }
  if (!a.outputs.empty())
    reference_model::write_safetensors(a.outputs, {{"attention", {t.tokens - prompt, t.query_heads, t.dim}, outputs.data()}});
  std::string const text = decisions.str();
  std::fwrite(text.data(), 1, text.size(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Feeds a recorded trace through a policy and prints every decision as a JSON line."};
  arguments a;
  app.add_option("--trace", a.trace, "safetensors file with queries [T, Hq, D], keys and values [T, Hkv, D]")->required();
  app.add_option("--policy", a.policy, "policy file (JSON object)")->required();
  app.add_option("--prompt", a.prompt, "tokens that arrive as one prompt (1)");
  app.add_option("--executor", a.executor, "serial, parallel, block:N (an emulated block of N threads) or cuda (serial)");
  app.add_option("--outputs", a.outputs, "writes the attention outputs of the decode tokens to this safetensors file");
  app.footer("Example:\n  replay --trace tests/data/traces/small.safetensors --policy roco.json --prompt 24\n"
             "  with roco.json: {\"policy\": \"roco\", \"budget\": 24, \"excluded\": 4}");
  try {
    app.parse(argc, argv);
    return replay(a);
  } catch (CLI::CallForHelp const& help) {
    return app.exit(help);
  } catch (std::exception const& e) {
    std::fprintf(stderr, "replay: %s\n", e.what());
    return 2;
  }
}
