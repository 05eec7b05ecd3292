#include <reference_model/text/unicode.hpp>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/text/characters.hpp>
#include <reference_model/text/split_syntax.hpp>

#ifdef REFERENCE_MODEL_ICU
#include <unicode/bytestream.h>
#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/regex.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#endif

namespace reference_model {

#ifdef REFERENCE_MODEL_ICU

bool has_unicode() { return true; }

struct text_pattern::compiled {
  std::unique_ptr<icu::RegexPattern> pattern;
};

namespace {

// \s as [\s], and so on: ICU repeats a class in one step, but remembers each character of a repeated \s and gives up
// behind some hundred thousand of them.
std::string with_classes(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    char const c = pattern[i];
    bool const escapes = c == '\\' && i + 1 < pattern.size();
    bool const is_class = escapes && std::string_view("sSdD").find(pattern[i + 1]) != std::string_view::npos;
    if (is_class && !in_class) out += '[';
    out += c;
    if (escapes) out += pattern[++i];
    if (is_class && !in_class) out += ']';
    if (!escapes && c == '[') in_class = true;
    if (!escapes && c == ']') in_class = false;
  }
  return out;
}

}  // namespace

text_pattern::text_pattern(std::string const& file, std::string const& where, std::string const& pattern)
    : file_(file), where_(where) {
  std::string const shown = std::string("'").append(shortened(pattern, 120)).append("'");
  if (std::string const refused = split_syntax::refused(pattern); !refused.empty())
    throw bad_file(file,
                   where + " is " + shown + "; '" + refused +
                       "' is not implemented there; only what the patterns of GPT-2, Llama 3 and Qwen are made of is");
  UErrorCode status = U_ZERO_ERROR;
  auto made = std::make_shared<compiled>();
  made->pattern.reset(icu::RegexPattern::compile(icu::UnicodeString::fromUTF8(with_classes(pattern)), 0, status));
  if (U_FAILURE(status) != 0 || made->pattern == nullptr)
    throw bad_file(file, where + " is " + shown + "; it is no regular expression (" + u_errorName(status) +
                             "); fetch the file again");
  compiled_ = std::move(made);
}

std::vector<byte_range> text_pattern::matches(std::string_view text) const {
  std::u16string wide;
  wide.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    character const c = character_at(text, i);
    i += c.bytes;
    if (c.code < 0x10000) {
      wide += static_cast<char16_t>(c.code);
    } else {
      wide += static_cast<char16_t>(0xd800 + ((c.code - 0x10000) >> 10));
      wide += static_cast<char16_t>(0xdc00 + ((c.code - 0x10000) & 0x3ff));
    }
  }
  constexpr std::size_t most = std::size_t{1} << 30;
  auto const failed = [&](UErrorCode status) {
    return bad_file(file_, where_ + " cannot be applied to " + std::to_string(text.size()) + " bytes of text (" +
                               u_errorName(status) + "); use a simpler pattern or less text at once");
  };
  if (wide.size() > most) throw failed(U_INDEX_OUTOFBOUNDS_ERROR);
  UErrorCode status = U_ZERO_ERROR;
  icu::UnicodeString const subject(0, wide.data(), static_cast<std::int32_t>(wide.size()));  // refers to `wide`
  std::unique_ptr<icu::RegexMatcher> const matcher(compiled_->pattern->matcher(subject, status));
  if (U_FAILURE(status) != 0 || matcher == nullptr) throw failed(status);
  // In ICU's unit of some thousand steps. A match of the known patterns takes two steps a character at most.
  matcher->setTimeLimit(static_cast<std::int32_t>(1000 + wide.size() / 1000), status);

  std::vector<byte_range> found;
  std::size_t byte = 0;
  std::int32_t unit = 0;
  auto const byte_at = [&](std::int32_t wanted) {  // wanted never falls
    while (unit < wanted) {
      character const c = character_at(text, byte);
      byte += c.bytes;
      unit += c.code < 0x10000 ? 1 : 2;
    }
    return byte;
  };
  while (matcher->find(status) != 0 && U_SUCCESS(status) != 0) {
    std::int32_t const begin = matcher->start(status), end = matcher->end(status);
    if (begin == end) continue;
    std::size_t const first = byte_at(begin);
    found.push_back({first, byte_at(end)});
  }
  if (U_FAILURE(status) != 0) throw failed(status);
  return found;
}

std::string composed(std::string_view text, std::string const& file) {
  UErrorCode status = U_ZERO_ERROR;
  icu::Normalizer2 const* const form = icu::Normalizer2::getNFCInstance(status);
  std::string out;
  std::size_t at = 0;
  while (at < text.size() && U_SUCCESS(status) != 0) {
    std::size_t end = at;
    character c{};
    while (end < text.size() && (c = character_at(text, end)).valid) end += c.bytes;
    std::string_view const valid = text.substr(at, end - at);
    icu::StringByteSink<std::string> sink(&out);
    form->normalizeUTF8(0, icu::StringPiece(valid.data(), static_cast<std::int32_t>(valid.size())), sink, nullptr,
                        status);
    if (end < text.size()) out += text[end++];
    at = end;
  }
  if (U_FAILURE(status) != 0)
    throw bad_file(
        file, "normalizer NFC cannot be applied (" + std::string(u_errorName(status)) + "); give less text at once");
  return out;
}

bool is_number(char32_t c) {
  auto const kind = u_charType(static_cast<UChar32>(c));
  return kind == U_DECIMAL_DIGIT_NUMBER || kind == U_LETTER_NUMBER || kind == U_OTHER_NUMBER;
}

std::string lowered(std::string_view text) {
  std::string out;
  auto const size = static_cast<std::int32_t>(text.size());
  icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), size)).toLower(icu::Locale::getRoot()).toUTF8String(out);
  return out;
}

#else

bool has_unicode() { return false; }

struct text_pattern::compiled {};

namespace {
char const* const remedy = " needs ICU, which this build is without; install libicu-dev and build again";
}

text_pattern::text_pattern(std::string const& file, std::string const& where, std::string const&) {
  throw bad_file(file, where + remedy);
}
std::vector<byte_range> text_pattern::matches(std::string_view) const { return {}; }
std::string composed(std::string_view, std::string const& file) {
  throw bad_file(file, std::string("normalizer NFC") + remedy);
}
bool is_number(char32_t) { throw bad_file("tokenizer", std::string("pre_tokenizer Digits") + remedy); }

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

#endif

}  // namespace reference_model
