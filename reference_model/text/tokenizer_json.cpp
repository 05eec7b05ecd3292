#include <reference_model/text/tokenizer_json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/text/bpe_vocabulary.hpp>
#include <reference_model/text/byte_alphabet.hpp>
#include <reference_model/text/json_part.hpp>
#include <reference_model/text/text_stages.hpp>

namespace reference_model {

namespace {

constexpr char const* gpt2_split = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

[[noreturn]] void refuse_type(json_part const& stage, std::string const& implemented) {
  stage.refuse("type", "it is not implemented there; " + implemented + " are; use another tokenizer");
}

// A component, or what the components of its Sequence are: take(component, is the last one).
template <class Take>
void for_each_stage(json_part const& file, char const* field, char const* list, Take const& take) {
  if (!file.given(field)) return;
  auto const walk = [&](auto const& self, json_part const& stage, bool last) -> void {
    if (stage.text("type") != "Sequence") return take(stage, last);
    stage.only({"type", list});
    json const& stages = stage.list(list);
    for (std::size_t i = 0; i < stages.size(); ++i)
      self(self, json_part(stage.file(), stage.path(list) + "[" + std::to_string(i) + "]", stages[i]),
           last && i + 1 == stages.size());
  };
  walk(walk, file.part(field), true);
}

// The string of {"String": "..."}.
std::string literal(json_part const& stage) {
  json_part const pattern = stage.part("pattern");
  if (!pattern.given("String"))
    stage.refuse("pattern", "only {\"String\": ...} is implemented there; use another tokenizer");
  pattern.only({"String"});
  std::string text = pattern.text("String");
  if (text.empty()) stage.refuse("pattern", "an empty string is found everywhere; give some text");
  return text;
}

class reader {
 public:
  reader(std::string const& file, std::string_view text, config const& c)
      : file_(file), object_(parse_object(file, text)), whole_(file, "", object_), vocabulary_(file, c.vocab, parts_) {}

  bpe_parts read() {
    whole_.only({"version", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"});
    if (whole_.given("version") && whole_["version"] != "1.0")
      whole_.refuse("version", "only \"1.0\" is known; use another file");
    read_stages();
    read_model();
    read_added();
    read_front();
    read_decoder();
    return std::move(parts_);
  }

 private:
  // ---- model ----

  void read_model() {
    json_part const model = whole_.part("model");
    if (model.given("type") && model.text("type") != "BPE")
      model.refuse("type", "only BPE is implemented; use another tokenizer");
    model.only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                "byte_fallback", "ignore_merges", "vocab", "merges"});
    if (model.given("dropout") && model["dropout"] != 0.0)
      model.refuse("dropout", "it makes tokens random and is not implemented; set it to null");
    for (char const* field : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (model.given(field) && !model.text(field).empty())
        model.refuse(field, "it is not implemented; use another tokenizer");
    parts_.fuse_unknown = model.truth("fuse_unk", false);
    parts_.ignore_merges = model.truth("ignore_merges", false);
    parts_.byte_fallback = model.truth("byte_fallback", false);
    if (parts_.byte_fallback && parts_.byte_level)
      model.refuse("byte_fallback",
                   "it is not implemented together with pre_tokenizer ByteLevel; use another tokenizer");
    vocabulary_.take_tokens("model.vocab", model["vocab"]);
    for (json const& merge : model.list("merges")) {
      if (merge.is_string())
        vocabulary_.take_merge("model.merges", merge.get_ref<std::string const&>());
      else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
        vocabulary_.take_merge("model.merges", merge[0].get<std::string>(), merge[1].get<std::string>());
      else
        throw bad_file(file_, "model.merges " + std::to_string(parts_.merges.size()) + " is " + shown(merge) +
                                  "; two tokens are expected; the file is damaged, fetch it again");
    }
    if (model.given("unk_token")) parts_.unknown = vocabulary_.find("model.unk_token", model.text("unk_token"));
    if (parts_.byte_fallback)
      for (unsigned b = 0; b < 256; ++b) {
        constexpr std::string_view digits = "0123456789ABCDEF";
        std::string const name = std::string("<0x") + digits[b / 16] + digits[b % 16] + ">";
        if (!vocabulary_.contains(name))
          throw bad_file(file_, "model.byte_fallback is true; the vocabulary has no token " + name +
                                    " for that byte; all from <0x00> to <0xFF> are needed; fetch the file again");
      }
  }

  // ---- added_tokens ----

  void read_added() {
    if (!whole_.given("added_tokens")) return;
    json const& list = whole_.list("added_tokens");
    for (std::size_t i = 0; i < list.size(); ++i) {
      json_part const token(file_, "added_tokens[" + std::to_string(i) + "]", list[i]);
      token.only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      added_token added;
      added.content = token.text("content");
      added.id = vocabulary_.id_of(token.path("id"), token["id"]);
      added.takes_space_before = token.truth("lstrip", false);
      added.takes_space_after = token.truth("rstrip", false);
      added.special = token.truth("special", false);
      added.in_normalized = token.truth("normalized", !added.special);
      if (token.truth("single_word", false))
        token.refuse("single_word", "it is not implemented; use another tokenizer");
      vocabulary_.take_added(std::move(added));
    }
  }

  // ---- normalizer and pre_tokenizer ----

  void read_stages() {
    for_each_stage(whole_, "normalizer", "normalizers", [&](json_part const& stage, bool) { read_normalizer(stage); });
    for_each_stage(whole_, "pre_tokenizer", "pretokenizers",
                   [&](json_part const& stage, bool last) { read_pre_tokenizer(stage, last); });
  }

  void read_normalizer(json_part const& stage) {
    std::string const type = stage.text("type");
    if (type == "NFC") {
      stage.only({"type"});
      composed("", file_);  // refused now if it cannot be done
      parts_.normalizers.push_back([file = file_](std::string_view text) { return composed(text, file); });
    } else if (type == "Prepend") {
      stage.only({"type", "prepend"});
      parts_.normalizers.push_back([front = stage.text("prepend")](std::string_view text) {
        return text.empty() ? "" : front + std::string(text);
      });
    } else if (type == "Replace") {
      stage.only({"type", "pattern", "content"});
      parts_.normalizers.push_back([from = literal(stage), to = stage.text("content")](std::string_view text) {
        return replaced(text, from, to);
      });
    } else {
      refuse_type(stage, "NFC, Prepend, Replace and Sequence");
    }
  }

  void read_pre_tokenizer(json_part const& stage, bool last) {
    std::string const type = stage.text("type");
    if (type == "ByteLevel") {
      stage.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
      if (!last) stage.refuse("type", "it must be the last of its Sequence; use another tokenizer");
      parts_.byte_level = true;
      if (stage.truth("add_prefix_space", true))
        parts_.pre_tokenizers.push_back([](text_piece const& piece, std::vector<text_piece>& out) {
          out.push_back({piece.text.starts_with(' ') ? piece.text : " " + piece.text, piece.begins_text});
        });
      if (stage.truth("use_regex", true)) add_split(text_pattern(file_, stage.path("use_regex"), gpt2_split));
    } else if (type == "Split") {
      read_split(stage);
    } else if (type == "Digits") {
      stage.only({"type", "individual_digits"});
      is_number('0');  // refused now if it cannot be done
      parts_.pre_tokenizers.push_back(digits_stage(stage.truth("individual_digits", false)));
    } else if (type == "Metaspace") {
      read_metaspace(stage);
    } else {
      refuse_type(stage, "ByteLevel, Split, Digits, Metaspace and Sequence");
    }
  }

  void add_split(text_pattern pattern, split_behavior behavior = split_behavior::isolated, bool inverted = false) {
    parts_.pre_tokenizers.push_back(
        [pattern = std::move(pattern), behavior, inverted](text_piece const& piece, std::vector<text_piece>& out) {
          cut_at(piece, pattern.matches(piece.text), behavior, inverted, out);
        });
  }

  void read_split(json_part const& stage) {
    stage.only({"type", "pattern", "behavior", "invert"});
    std::string const name = stage.text("behavior");
    constexpr std::pair<char const*, split_behavior> behaviors[] = {
        {"Isolated", split_behavior::isolated},
        {"Removed", split_behavior::removed},
        {"Contiguous", split_behavior::contiguous},
        {"MergedWithPrevious", split_behavior::merged_with_previous},
        {"MergedWithNext", split_behavior::merged_with_next}};
    std::optional<split_behavior> behavior;
    for (auto const& [known, meaning] : behaviors)
      if (name == known) behavior = meaning;
    if (!behavior) stage.refuse("behavior", "it is not known; fetch the file again");
    bool const inverted = stage.truth("invert", false);
    json_part const pattern = stage.part("pattern");
    if (pattern.given("Regex")) {
      pattern.only({"Regex"});
      return add_split(text_pattern(file_, pattern.path("Regex"), pattern.text("Regex")), *behavior, inverted);
    }
    parts_.pre_tokenizers.push_back(
        [what = literal(stage), how = *behavior, inverted](text_piece const& piece, std::vector<text_piece>& out) {
          cut_at(piece, places_of(piece.text, what), how, inverted, out);
        });
  }

  // The scheme of a Metaspace. Older files say add_prefix_space in its place.
  prepend_scheme scheme_of(json_part const& stage) {
    bool const prefix = stage.truth("add_prefix_space", true);
    std::string const name = stage.given("prepend_scheme") ? stage.text("prepend_scheme") : prefix ? "always" : "never";
    if (!prefix && name != "never") stage.refuse("prepend_scheme", "add_prefix_space says never; fetch the file again");
    if (name == "always") return prepend_scheme::always;
    if (name == "first") return prepend_scheme::first;
    if (name != "never") stage.refuse("prepend_scheme", "always, first and never are known; fetch the file again");
    return prepend_scheme::never;
  }

  std::string mark_of(json_part const& stage) {
    std::string mark = stage.text("replacement");
    if (mark.empty() || character_at(mark, 0).bytes != mark.size())
      stage.refuse("replacement", "one character is expected; the file is damaged, fetch it again");
    return mark;
  }

  void read_metaspace(json_part const& stage) {
    stage.only({"type", "replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep"});
    if (stage.given("str_rep") && stage.text("str_rep") != stage.text("replacement"))
      stage.refuse("str_rep", "it must be the replacement; the file is damaged, fetch it again");
    parts_.pre_tokenizers.push_back(metaspace_stage(mark_of(stage), scheme_of(stage), stage.truth("split", true)));
  }

  // ---- post_processor ----

  void read_front() {
    for_each_stage(whole_, "post_processor", "processors", [&](json_part const& stage, bool) {
      std::string const type = stage.text("type");
      if (type == "ByteLevel")
        stage.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});  // offsets alone
      else if (type == "TemplateProcessing")
        read_template(stage);
      else
        refuse_type(stage, "ByteLevel, TemplateProcessing and Sequence");
    });
  }

  void read_template(json_part const& stage) {
    stage.only({"type", "single", "pair", "special_tokens"});  // a pair of texts is never encoded
    bool text_seen = false;
    std::vector<std::uint32_t> front;
    json const& single = stage.list("single");
    for (std::size_t i = 0; i < single.size(); ++i) {
      json_part const item(file_, stage.path("single") + "[" + std::to_string(i) + "]", single[i]);
      item.only({"SpecialToken", "Sequence"});
      if (item.given("Sequence")) {
        json_part const which = item.part("Sequence");
        if (which.text("id") != "A" || text_seen) which.refuse("id", "one text, A, is expected; use another tokenizer");
        text_seen = true;
        continue;
      }
      std::string const name = item.part("SpecialToken").text("id");
      if (text_seen)
        item.refuse("SpecialToken", "tokens behind a text are not implemented; take it out of the template");
      json_part const tokens = stage.part("special_tokens");
      json_part const token = tokens.part(name.c_str());
      for (json const& id : token.list("ids")) front.push_back(vocabulary_.id_of(token.path("ids"), id));
    }
    if (!text_seen) stage.refuse("single", "the text, A, must be in it; the file is damaged, fetch it again");
    parts_.front.insert(parts_.front.begin(), front.begin(), front.end());
  }

  // ---- decoder ----

  void read_decoder() {
    bool byte_level = false, from_bytes = false;
    if (!whole_.given("decoder"))
      throw bad_file(file_, "decoder is null; it says how tokens become text, and is needed; use another tokenizer");
    for_each_stage(whole_, "decoder", "decoders", [&](json_part const& stage, bool) {
      std::string const type = stage.text("type");
      if (type == "ByteLevel") {
        stage.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
        byte_level = true;
      } else if (type == "Metaspace") {
        stage.only({"type", "replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep"});
        parts_.written_with.emplace_back(mark_of(stage), " ");
        if (scheme_of(stage) != prepend_scheme::never) parts_.front_spaces = static_cast<std::size_t>(-1);
      } else if (type == "Replace") {
        stage.only({"type", "pattern", "content"});
        parts_.written_with.emplace_back(literal(stage), stage.text("content"));
      } else if (type == "ByteFallback") {
        stage.only({"type"});
        from_bytes = true;
      } else if (type == "Fuse") {
        stage.only({"type"});
      } else if (type == "Strip") {
        read_strip(stage);
      } else {
        refuse_type(stage, "ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip and Sequence");
      }
    });
    auto const unlike = [&](std::string const& what, std::string const& other) {
      throw bad_file(file_, "decoder has " + what + "; " + other + "; only both or neither is implemented");
    };
    if (byte_level != parts_.byte_level)
      unlike(byte_level ? "a ByteLevel" : "no ByteLevel",
             byte_level ? "pre_tokenizer has none" : "pre_tokenizer has one");
    if (from_bytes != parts_.byte_fallback)
      unlike(from_bytes ? "a ByteFallback" : "no ByteFallback",
             from_bytes ? "model.byte_fallback is false" : "model.byte_fallback is true");
    if (byte_level && (!parts_.written_with.empty() || parts_.front_spaces != 0))
      unlike("more than a ByteLevel", "what it would do to bytes is unclear");
  }

  void read_strip(json_part const& stage) {
    stage.only({"type", "content", "start", "stop"});
    if (stage.text("content") != " ") stage.refuse("content", "only a space is implemented; use another tokenizer");
    if (stage["stop"] != 0) stage.refuse("stop", "only 0 is implemented; use another tokenizer");
    json const& start = stage["start"];
    if (!start.is_number_unsigned()) stage.refuse("start", "a whole number is expected; fetch the file again");
    parts_.front_spaces = start.get<std::size_t>();
  }

  std::string file_;
  json object_;
  json_part whole_;
  bpe_parts parts_;
  bpe_vocabulary vocabulary_;
};

}  // namespace

bpe_tokenizer read_tokenizer_json(std::string const& file, std::string_view text, config const& c) {
  return bpe_tokenizer(reader(file, text, c).read(), c);
}

bpe_tokenizer read_byte_level_bpe(std::string const& vocab_file, std::string_view vocab, std::string const& merges_file,
                                  std::string_view merges, config const& c) {
  bpe_parts parts;
  parts.byte_level = true;
  bpe_vocabulary vocabulary(vocab_file, c.vocab, parts);
  json const tokens = parse_object(vocab_file, vocab);
  vocabulary.take_tokens("token", tokens);
  vocabulary.call_file(merges_file);
  for (std::size_t at = 0; at < merges.size();) {
    std::size_t const end = std::min(merges.find('\n', at), merges.size());
    std::string_view line = merges.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty() && !line.starts_with("#version")) vocabulary.take_merge("merge", line);
    at = end + 1;
  }
  // Where the model's file names no BOS, its number is Llama's, an ordinary token here.
  std::vector<std::uint32_t> specials{c.bos};
  specials.insert(specials.end(), c.ends.begin(), c.ends.end());
  byte_alphabet const alphabet;
  for (std::uint32_t const id : specials) {
    if (id >= parts.tokens.size() || !parts.tokens[id]) continue;
    std::optional<std::string> const bytes = alphabet.bytes_of(*parts.tokens[id]);
    bool const ordinary =
        (bytes && bytes->size() == 1) ||
        std::any_of(parts.merges.begin(), parts.merges.end(), [&](token_merge const& m) { return m.merged == id; });
    if (ordinary) continue;
    added_token special;
    special.content = *parts.tokens[id];
    special.id = id;
    special.special = true;
    parts.added.push_back(std::move(special));
  }
  text_pattern const split(vocab_file, "the split of GPT-2", gpt2_split);
  parts.pre_tokenizers.push_back([split](text_piece const& piece, std::vector<text_piece>& out) {
    cut_at(piece, split.matches(piece.text), split_behavior::isolated, false, out);
  });
  return bpe_tokenizer(std::move(parts), c);
}

}  // namespace reference_model
