#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <reference_model/model/config.hpp>
#include <reference_model/text/bpe_tokenizer.hpp>

namespace reference_model {

/// Bytes of a tokenizer's file that are read at most.
inline constexpr std::uint64_t most_tokenizer_bytes = std::uint64_t{128} << 20;

/// Hugging Face's tokenizer.json with a model of type BPE. What would change the tokens and is not implemented is
/// refused by name, never ignored. Implemented are
///   normalizer      NFC, Prepend, Replace (a string), Sequence
///   pre_tokenizer   ByteLevel, Split, Digits, Metaspace, Sequence
///   post_processor  ByteLevel, TemplateProcessing (tokens in front of a text), Sequence
///   decoder         ByteLevel, Metaspace, or a Sequence of Replace, ByteFallback, Fuse and Strip
///   model           BPE with byte_fallback, fuse_unk, ignore_merges and unk_token
/// `file` names it in messages. Throws bad_file.
bpe_tokenizer read_tokenizer_json(std::string const& file, std::string_view text, config const& c);

/// GPT-2's vocab.json and merges.txt: bytes, GPT-2's split, no normal form. BOS and the ends of the model are special
/// tokens, if the vocabulary has them. Throws bad_file.
bpe_tokenizer read_byte_level_bpe(std::string const& vocab_file, std::string_view vocab, std::string const& merges_file,
                                  std::string_view merges, config const& c);

}  // namespace reference_model
