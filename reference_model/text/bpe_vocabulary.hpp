#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/json_text.hpp>
#include <reference_model/text/bpe_tokenizer.hpp>

namespace reference_model {

/// Fills the tokens and merges of bpe_parts, checking each id and name. Throws bad_file, which names `file`.
class bpe_vocabulary {
 public:
  /// Ids must be below `vocab`, the model's. `parts` is referred to.
  bpe_vocabulary(std::string file, std::uint32_t vocab, bpe_parts& parts)
      : file_(std::move(file)), vocab_(vocab), parts_(parts) {}

  /// Another file that goes on with the same vocabulary.
  void call_file(std::string name) { file_ = std::move(name); }

  /// An object of token names and ids. `where` is how messages call it.
  void take_tokens(std::string const& where, json const& tokens) {
    if (!tokens.is_object())
      throw bad_file(file_, where + " is " + shown(tokens) + "; an object of tokens and ids is expected");
    if (tokens.empty()) throw bad_file(file_, where + " is empty; at least one token is needed; fetch the file again");
    for (auto const& [name, id] : tokens.items()) {
      if (name.empty()) throw bad_file(file_, where + " names a token ''; it has no text; fetch the file again");
      take_token(where, name, id_of(where + " '" + shortened(name, 60) + "'", id));
    }
  }

  /// A token found in the text itself. It may be one of the vocabulary, but only under its own name and id.
  void take_added(added_token token) {
    std::string const where = "added_tokens '" + shortened(token.content, 60) + "'";
    if (auto const known = ids_.find(token.content); known != ids_.end() && known->second != token.id)
      throw bad_file(file_, where + " has id " + std::to_string(token.id) + "; it is token " +
                                std::to_string(known->second) +
                                " of the vocabulary; the file is damaged, fetch it again");
    if (!ids_.contains(token.content)) take_token("added_tokens", token.content, token.id, false);
    parts_.added.push_back(std::move(token));
  }

  /// A merge of two tokens; messages count from 0.
  void take_merge(std::string const& where, std::string const& left, std::string const& right) {
    std::string const which = where + " " + std::to_string(parts_.merges.size()) + ", '" + shortened(left, 40) +
                              "' and '" + shortened(right, 40) + "'";
    auto const id = [&](std::string const& name) {
      auto const found = merged_.find(name);
      if (found == merged_.end())
        throw bad_file(
            file_, which + ", needs the token '" + shortened(name, 60) +
                       "'; it is not in the vocabulary; the files belong to different tokenizers, fetch them again");
      return found->second;
    };
    parts_.merges.push_back({id(left), id(right), id(left + right)});
  }
  /// "left right", as files write it.
  void take_merge(std::string const& where, std::string_view line) {
    std::size_t const space = line.find(' ');
    if (space == 0 || space == std::string_view::npos || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string_view::npos)
      throw bad_file(file_, where + " " + std::to_string(parts_.merges.size()) + " is '" +
                                shortened(std::string(line), 60) +
                                "'; two tokens with a space between them are expected; fetch the file again");
    take_merge(where, std::string(line.substr(0, space)), std::string(line.substr(space + 1)));
  }

  /// The id of a token that a field names.
  std::uint32_t find(std::string const& where, std::string const& name) const {
    auto const found = ids_.find(name);
    if (found == ids_.end())
      throw bad_file(
          file_, where + " is '" + shortened(name, 60) + "'; it is no token of the vocabulary; fetch the file again");
    return found->second;
  }
  bool contains(std::string const& name) const { return merged_.contains(name); }

  /// A JSON value as an id below the model's vocabulary.
  std::uint32_t id_of(std::string const& where, json const& id) const {
    if (!id.is_number_unsigned())
      throw bad_file(
          file_, where + " has id " + shown(id) + "; a whole number is expected; the file is damaged, fetch it again");
    if (id.get<std::uint64_t>() >= vocab_)
      throw bad_file(file_, where + " has id " + shown(id) + "; the model's vocabulary has " + std::to_string(vocab_) +
                                " tokens; it belongs to another model");
    return id.get<std::uint32_t>();
  }

 private:
  void take_token(std::string const& where, std::string const& name, std::uint32_t id, bool merges = true) {
    auto const [other, first] = names_.emplace(id, name);
    if (!first)
      throw bad_file(file_, where + " '" + shortened(name, 60) + "' has id " + std::to_string(id) + "; '" +
                                shortened(other->second, 60) + "' has it already; the file is damaged, fetch it again");
    ids_.emplace(name, id);
    if (!merges) return;
    merged_.emplace(name, id);
    if (parts_.tokens.size() <= id) parts_.tokens.resize(id + 1);
    parts_.tokens[id] = name;
  }

  std::string file_;
  std::uint32_t vocab_;
  bpe_parts& parts_;
  std::unordered_map<std::string, std::uint32_t> ids_, merged_;  // of all tokens; of those that merges may name
  std::unordered_map<std::uint32_t, std::string> names_;
};

}  // namespace reference_model
