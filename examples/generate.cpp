// Streams text from a model whose KV cache is held to a budget, and sums up what was kept, what it cost, how good it was.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include <common/chat.hpp>
#include <common/generation_report.hpp>
#include <common/output_file.hpp>
#include <common/retention_map.hpp>
#include <common/shared_options.hpp>
#include <common/trace_recorder.hpp>
#include <reference_model/model/metrics.hpp>
#include <reference_model/model/sampler.hpp>

namespace {

using namespace programs;
using tokens_type = std::vector<std::uint32_t>;

struct arguments {
  shared_options shared;
  std::string prompt = "Once upon a time", prompt_file, chat = "plain";
  std::optional<std::uint64_t> tokens, new_tokens;
  reference_model::sampling how{.temperature = 0.8, .top_p = 0.9};
  bool allow_repeats = false, ignore_ends = false, never_ends = false, text_only = false, as_json = false;
  std::string record, retention_map, words;
  std::uint32_t record_layer = 0;
};

void add_options(command_line& line, arguments& a) {
  add_shared_options(line, a.shared, false);
  add_mode_option(line, a.shared, false);
  add_prompt_options(line, a.shared);
  option const prompt = line.add("--prompt", a.prompt, "Text to continue").shows_default();
  line.add("--prompt-file", a.prompt_file, "File with the text to continue").excludes(prompt);
  line.add("--chat", a.chat, "How the prompt is written as a turn of a conversation: plain, llama2, llama3, chatml or vicuna").shows_default();
  option const tokens = line.add("--tokens", a.tokens, "Positions to run through, the prompt's included");
  line.add("--new-tokens", a.new_tokens, "Tokens to generate, the prompt's not included (256)").excludes(tokens);
  line.add("--temperature", a.how.temperature, "0: always the likeliest token; 1: as the model says").shows_default();
  line.add("--top-k", a.how.top_k, "Draw among the K likeliest tokens; 0: among all").shows_default();
  line.add("--top-p", a.how.top_p, "Draw among the likeliest tokens that make up P; 1: among all").shows_default();
  option const ngram = line.add("--no-repeat-ngram", a.how.no_repeat_ngram, "No N tokens in a row twice; 0: allowed").shows_default();
  line.add("--allow-repeats", a.allow_repeats, "The same as --no-repeat-ngram 0").excludes(ngram);
  option const ignore = line.add("--ignore-eos", a.ignore_ends, "Go on behind the end of a text, on a new line");
  line.add("--never-eos", a.never_ends, "Never draw the end of a text").excludes(ignore);
  option const only = line.add("--text-only", a.text_only, "Print the text and nothing else");
  line.add("--json", a.as_json, "Print one JSON object in place of text and summary").excludes(only);
  option const record = line.add("--record", a.record, "Write a trace of one layer for replay (.safetensors)");
  line.add("--record-layer", a.record_layer, "The layer of --record").needs(record).shows_default();
  line.add("--words", a.words, "Word list, a line each: how many runs of ten words are readable, at least five of them known");
  line.add("--retention-map", a.retention_map, "Write an SVG picture of what was kept, layer x position");
  line.example("generate --policy roco --budget 128 --prompt \"Once upon a time\" --tokens 512 --retention-map map.svg\n"
                "Text goes to standard output as it is made; the summary to standard error. --out writes generate.json and\n"
                "retention_map.svg.");
}

// Positions that will be fed; the last token drawn is printed and not fed. Without --tokens and --new-tokens 256 tokens are
// generated, or as many as the model has positions for if the run cannot stream beyond them.
std::uint64_t positions_to_run(arguments const& a, std::uint64_t prompt, bool streams, std::uint64_t model_positions) {
  if (a.tokens) {
    if (*a.tokens >= prompt) return *a.tokens;
    throw usage_error("--tokens is " + std::to_string(*a.tokens) + "; the prompt alone has " + std::to_string(prompt) +
                      " positions, give more, or count with --new-tokens");
  }
  if (a.new_tokens) {
    if (*a.new_tokens >= 1) return prompt + *a.new_tokens - 1;
    throw usage_error("--new-tokens is 0; give at least 1");
  }
  std::uint64_t const positions = prompt + 255;
  return streams || prompt > model_positions ? positions : std::min(positions, model_positions);
}

// How the same tokens do under a full cache: fed in pieces, nothing evicted. Left out where the model has no positions for
// them, or nothing was evicted.
void score_under_full_cache(loaded_model const& m, arguments const& a, generation_report& r) {
  constexpr std::size_t piece = 128;
  std::size_t const fed = r.tokens.size() - 1;
  if (fed > m.config().max_positions || r.evicted() == 0) return;
  session full(m.model, choose_policy({}),
               {.capacity = static_cast<std::uint32_t>(fed), .longest_piece = piece, .every_logits = true, .executor = a.shared.executor});
  std::uint32_t const vocab = m.config().vocab;
  double sum = 0;
  std::size_t same = 0;
  for (std::size_t first = 0; first < fed; first += piece) {
    std::size_t const n = std::min(piece, fed - first);
    float const* logits = full.feed({r.tokens.data() + first, n});
    for (std::size_t t = first; t < first + n; ++t, logits += vocab) {
      if (t + 1 < r.prompt_tokens) continue;
      sum += reference_model::negative_log_likelihood(logits, vocab, r.tokens[t + 1]);
      auto const likeliest = static_cast<std::uint32_t>(std::max_element(logits, logits + vocab) - logits);
      same += likeliest == r.likeliest[t + 1 - r.prompt_tokens] ? 1u : 0u;
    }
  }
  auto const generated = static_cast<double>(r.nll.size());
  r.full_mean_nll = sum / generated;
  r.same_likeliest = static_cast<double>(same) / generated;
}

int generate(arguments const& a) {
  using clock = std::chrono::steady_clock;
  auto const seconds = [](clock::duration d) { return std::chrono::duration<double>(d).count(); };
  std::string const prompt_text =
      as_chat(a.chat, a.prompt_file.empty() ? require_text(a.prompt, "--prompt") : read_text_file("--prompt-file", a.prompt_file));
  check_executor(a.shared.executor);
  loaded_model const m = load(a.shared);
  reference_model::config const& c = m.config();
  tokens_type const prompt = m.text->encode(prompt_text);

  std::uint64_t const base = positions_to_run(a, prompt.size(), false, c.max_positions);
  policy_choice const choice = choose_one(a.shared, base, prompt.size());
  bool const streams = choice.bounded() && !choice.made.grows() && choice.slots() < c.max_positions && choice.positions != "original";
  std::uint64_t const positions = positions_to_run(a, prompt.size(), streams, c.max_positions);
  position_plan const plan = plan_positions(a.shared, choice, m, positions, prompt.size());
  if (!a.record.empty() && plan.stand != standing::original)
    throw usage_error("--record needs --positions original; a trace holds keys at the positions they keep");
  std::optional<known_words> known;
  if (!a.words.empty()) known = words_of_list(read_text_file("--words", a.words));
  if (a.record_layer >= c.layers)
    throw usage_error("--record-layer is " + std::to_string(a.record_layer) + "; the model has layers 0 to " + std::to_string(c.layers - 1));
  reference_model::sampling how = a.how;
  how.seed = a.shared.seed;
  reference_model::sampler draw(how, c.vocab);
  for (std::uint32_t t = 0; a.never_ends && t < c.vocab; ++t)
    if (m.text->ends(t)) draw.forbid(t);

  std::optional<output_file> map_file, json_file, record_file;
  if (!a.shared.out.empty()) {
    make_output_folder(a.shared.out);
    json_file.emplace("--out", a.shared.out + "/generate.json");
  }
  if (!a.retention_map.empty()) map_file.emplace("--retention-map", a.retention_map);
  else if (json_file) map_file.emplace("--out", a.shared.out + "/retention_map.svg");
  if (!a.record.empty()) record_file.emplace("--record", a.record);
  trace_recorder recorder(a.record_layer, c);
  retention_record retention(static_cast<int>(c.layers), static_cast<int>(c.kv_heads));
  session run(m.model, choice, session_of(plan, choice, m, a.shared.executor, positions), record_file ? &recorder : nullptr);
  for (std::string const& line : explained_budgets(a.shared, base))
    if (!a.text_only && !a.as_json) std::fprintf(stderr, "%s\n", line.c_str());

  generation_report r(c, choice, plan.stand, plan.in_pages, prompt, positions);
  std::string text;
  auto const write = [&](std::string_view piece) {
    if (!a.as_json) print_now(piece);
    if (a.as_json || json_file || known) text += piece;
  };
  auto const fed = [&] {
    for (std::uint32_t l = 0; map_file && l < c.layers; ++l)
      for (std::uint32_t h = 0; h < c.kv_heads; ++h)
        retention.saw(static_cast<int>(l), static_cast<int>(h), run.held(l, h), run.seen());
  };

  write(m.text->decode(prompt));
  std::size_t const generated_from = text.size();
  clock::time_point last = clock::now();
  float const* logits = feed_prompt(run, prompt, plan, fed);
  r.prompt_seconds = seconds(clock::now() - last);
  for (;;) {
    last = clock::now();
    std::uint32_t const before = r.tokens.back();
    std::uint32_t const next = draw.next(logits, r.tokens);
    r.drew(next, logits, c.vocab);
    bool const end = m.text->ends(next);
    if (end && !a.ignore_ends) break;
    write(end ? "\n" : m.text->piece(before, next));
    if (run.seen() == positions) break;
    logits = run.feed(next);
    fed();
    r.step_seconds.push_back(static_cast<float>(seconds(clock::now() - last)));
  }
  if (!a.as_json) print_now("\n");

  r.finish(run);
  if (known) r.words = readability_of(std::string_view(text).substr(generated_from), *known);
  if (choice.bounded() && (!a.text_only || json_file)) score_under_full_cache(m, a, r);
  if (record_file) recorder.write(record_file->path());
  if (map_file) {
    map_file->write(draw_map(retention, r));
    map_file->commit();
  }
  if (json_file) {
    json_file->write(r.json(text));
    json_file->commit();
  }
  if (a.as_json) print_now(r.json(text));
  else if (!a.text_only) std::fputs(r.summary().c_str(), stderr);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main("generate", [&] {
    command_line line("Streams text from a model whose KV cache is held to a budget.");
    arguments a;
    add_options(line, a);
    if (auto const status = line.parse(argc, argv)) return *status;
    return generate(a);
  });
}
