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

#include <common/allocator.hpp>
#include <common/arguments.hpp>
#include <common/policy_choice.hpp>
#include <common/replay_cache.hpp>
#include <common/trace_file.hpp>
#include <kvsift/exec/parallel_executor.hpp>
#include <kvsift/kvsift.hpp>
#include <reference_model/io/bad_file.hpp>
#include <support/thread_group.hpp>

namespace {

using namespace programs;
using reference_model::bad_file;
using positions = std::vector<std::uint32_t>;

void print_positions(std::ostream& out, positions const& p) {
  out << '[';
  for (std::size_t i = 0; i < p.size(); ++i) out << (i ? "," : "") << p[i];
  out << "]}\n";
}

/// Runs the trace. Decisions go to `out`; the outputs of the decode tokens [T - N, Hq, D] to `outputs`.
void run(replay_cache& cache, trace const& t, std::uint32_t prompt, std::ostream& out, std::vector<float>& outputs) {
  std::vector<positions> before(t.kv_heads);
  auto const feed = [&](std::uint32_t first, std::uint32_t tokens) {
    cache.feed(first, tokens, first < prompt);
    for (std::uint32_t h = 0; h < t.kv_heads; ++h) {
      positions had = before[h], gone;
      for (std::uint32_t i = 0; i < tokens; ++i) had.push_back(first + i);
      before[h] = cache.held(h);
      std::set_difference(had.begin(), had.end(), before[h].begin(), before[h].end(), std::back_inserter(gone));
      if (gone.empty()) continue;
      out << "{\"event\":\"evict\",\"step\":" << first + tokens - 1 << ",\"head\":" << h << ",\"positions\":";
      print_positions(out, gone);
    }
  };
  auto const slots_of = [&](std::uint32_t limit) { return limit == kvsift::no_limit ? t.tokens : limit; };
  for (std::uint32_t first = 0, piece = 0; first < prompt; first += piece) feed(first, piece = cache.next_piece(prompt - first));
  for (std::uint32_t h = 0; h < t.kv_heads; ++h)  // of heads that competed, what each was given
    out << "{\"event\":\"budget\",\"head\":" << h << ",\"slots\":" << slots_of(cache.limit(h)) << "}\n";
  for (std::uint32_t token = prompt; token < t.tokens; ++token) feed(token, 1);
  for (std::uint32_t h = 0; h < t.kv_heads; ++h) {
    out << "{\"event\":\"final\",\"head\":" << h << ",\"positions\":";
    print_positions(out, before[h]);
  }
  outputs = cache.outputs();
  outputs.erase(outputs.begin(), outputs.begin() + static_cast<std::ptrdiff_t>(prompt * std::size_t{t.query_heads} * t.dim));
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
  policy_choice const choice = load_policy(a.policy);
  if (choice.storage != "fp32") throw bad_file(a.policy, "policy field 'storage' is '" + choice.storage + "'; replay compares fp32 only");
  trace const t = load_trace(a.trace);
  if (choice.made.value.columns().get<kvsift::signature>().width() != 0 && t.bits == 0)
    throw bad_file(a.trace, "tensor 'projection' is missing; the policy compares signatures and takes it from the trace");
  if (choice.made.value.facts().draws && t.uniforms.empty())
    throw bad_file(a.trace, "tensor 'uniforms' is missing; the policy draws and takes its draws from the trace");
  policy_of_draws const policy_of = [&](float const* draws) {
    policy_choice const of_trace = load_policy(a.policy, t, draws);
    try {
      return allocated(of_trace.made, of_trace.allocator, shape_of(t));
    } catch (kvsift::bad_argument const& e) {
      throw bad_file(a.policy, e.what());
    }
  };
  std::uint32_t const prompt = whole("--prompt", a.prompt, 1, t.tokens);
  std::ostringstream decisions;  // nothing is printed before everything is known to be right
  std::vector<float> outputs;
  auto const run_on = [&]<class Executor>(Executor const& on, std::uint32_t threads) {
    replay_cache_of<Executor, kvsift::main_memory> cache(on, threads, t, policy_of, prompt, {});
    run(cache, t, prompt, decisions, outputs);
  };
  if (a.executor == "serial") {
    run_on(kvsift::serial_executor{}, 1);
  } else if (a.executor == "parallel") {
    run_on(kvsift::parallel_executor{}, 1);
  } else if (a.executor.rfind("block:", 0) == 0) {
    std::uint32_t const threads = whole("--executor block:", a.executor.substr(6), 1, 1024);
    run_on(support::thread_group_executor{threads}, threads);
  } else if (a.executor == "cuda") {
    run(*make_cuda_replay(t, policy_of, prompt), t, prompt, decisions, outputs);
  } else {
    throw kvsift::bad_argument("--executor is " + a.executor + "; give serial, parallel, block:N or cuda");
  }
  if (!a.outputs.empty()) save_attention(a.outputs, {t.tokens - prompt, t.query_heads, t.dim}, outputs);
  std::string const text = decisions.str();
  std::fwrite(text.data(), 1, text.size(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("replay", [&] {
    command_line line("Feeds a recorded trace through a policy and prints every decision as a JSON line.");
    arguments a;
    line.add("--trace", a.trace, "safetensors file with queries [T, Hq, D], keys and values [T, Hkv, D]").required();
    line.add("--policy", a.policy, "policy file (JSON object)").required();
    line.add("--prompt", a.prompt, "tokens that arrive as one prompt (1)");
    line.add("--executor", a.executor, "serial, parallel, block:N (an emulated block of N threads), or cuda in a build with it (serial)");
    line.add("--outputs", a.outputs, "writes the attention outputs of the decode tokens to this safetensors file");
    line.example("replay --trace tests/data/traces/small.safetensors --policy roco.json --prompt 24\n"
                 "  with roco.json: {\"policy\": \"roco\", \"budget\": 24, \"excluded\": 4}");
    if (auto const status = line.parse(argc, argv)) return *status;
    return replay(a);
  });
}
