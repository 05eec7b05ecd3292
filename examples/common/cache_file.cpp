#include <common/cache_file.hpp>
#include <common/storage.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include <kvsift/version.hpp>
#include <reference_model/io/json_text.hpp>
#include <reference_model/io/safetensors.hpp>
#include <reference_model/io/write_safetensors.hpp>

namespace programs {

namespace {

using reference_model::bad_file;
using reference_model::json;

constexpr char const* format_version = "2";

std::string library_version() {
  return std::to_string(KVSIFT_VERSION_MAJOR) + "." + std::to_string(KVSIFT_VERSION_MINOR) + "." +
         std::to_string(KVSIFT_VERSION_PATCH);
}

// FNV-1a over words of eight bytes: a word a multiplication.
class digest {
 public:
  void add(void const* bytes, std::size_t count) {
    auto const* p = static_cast<unsigned char const*>(bytes);
    add_word(count);
    for (; count >= 8; p += 8, count -= 8) {
      std::uint64_t word;
      std::memcpy(&word, p, 8);
      add_word(word);
    }
    std::uint64_t rest = 0;
    if (count != 0) std::memcpy(&rest, p, count);
    add_word(rest);
  }
  void add(std::string_view text) { add(text.data(), text.size()); }
  template <class T>
  void add_all(std::vector<T> const& list) {
    add(list.data(), list.size() * sizeof(T));
  }
  void add_word(std::uint64_t word) {
    value_ = (value_ ^ word) * 0x100000001b3u;
    value_ ^= value_ >> 29;  // so that the high bits of a word count too
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

// Numbers as what they are; codes with their scales as bytes.
char const* format_of(std::string const& storage) {
  return storage == "fp32" ? "F32" : storage == "fp16" ? "F16" : storage == "bf16" ? "BF16" : storage == "fp8" ? "F8_E4M3" : "U8";
}
std::size_t bytes_of(char const* format) { return reference_model::find_format(format)->bytes; }

// Everything of the image and of what stands beside it, in a fixed order.
std::uint64_t checksum(saved_cache const& c, std::string const& policy) {
  kvsift::cache_image const& i = c.state.cache;
  digest d;
  for (std::uint64_t const n :
       {std::uint64_t{i.shape.layers}, std::uint64_t{i.shape.kv_heads}, std::uint64_t{i.shape.group},
        std::uint64_t{i.shape.head_dim}, std::uint64_t{i.shape.sequences}, std::uint64_t{i.vector_bytes},
        std::uint64_t{c.state.seen}, std::uint64_t{c.first_piece}, std::uint64_t{c.in_cache}, c.model, c.tokenizer})
    d.add_word(n);
  for (std::string const& text : {policy, c.policy_name, c.storage, c.document}) d.add(text);
  d.add_all(i.states);
  d.add_all(i.held);
  d.add_all(i.least_held);
  d.add_all(i.keys);
  d.add_all(i.values);
  d.add_all(i.positions);
  d.add_all(i.ranks);
  for (kvsift::column_image const& column : i.columns) {
    d.add(column.name);
    d.add_all(column.data);
  }
  return d.value();
}

std::string policy_text(policy_request const& p) {
  return json{{"policy", p.policy}, {"sets", p.sets},   {"budget", p.budget}, {"pin", p.pin},  {"seed", p.seed},
              {"base", p.base},     {"bound", p.bound}, {"prompt", p.prompt}, {"text", p.text}}
      .dump();
}

saved_cache read(reference_model::file_source source) {
  std::string const name = source.name();
  reference_model::safetensors_reader file(std::move(source));
  auto const& stated = file.metadata();
  auto const text = [&](char const* field) -> std::string const& {
    auto const at = stated.find(field);
    if (at == stated.end())
      throw bad_file(name, std::string(field) == "kvsift_cache"
                               ? "is no cache; give a file that `ask build` wrote"
                               : "has no '" + std::string(field) + "'; build the cache again");
    return at->second;
  };
  if (text("kvsift_cache") != format_version)
    throw bad_file(name, "is a cache of format " + text("kvsift_cache") + "; this program reads format " +
                             format_version + ", build it again");
  if (text("library") != library_version())
    throw bad_file(name,
                   "was built by kvsift " + text("library") + "; this is " + library_version() + ", build it again");
  auto const number = [&](char const* field, int base = 10) {
    std::string const& digits = text(field);
    char* end = nullptr;
    std::uint64_t const value = std::strtoull(digits.c_str(), &end, base);
    if (digits.empty() || *end != '\0')
      throw bad_file(
          name, "'" + std::string(field) + "' is '" + digits + "', no number; the file is damaged, build it again");
    return value;
  };
  auto const small = [&](char const* field) {
    std::uint64_t const value = number(field);
    if (value > 0x7fffffffu)
      throw bad_file(
          name, "'" + std::string(field) + "' is " + std::to_string(value) + "; the file is damaged, build it again");
    return static_cast<std::uint32_t>(value);
  };

  saved_cache c;
  c.storage = text("storage");
  if (!is_storage(c.storage)) throw bad_file(name, "storage is '" + c.storage + "'; give a cache of " + storage_words);
  c.policy_name = text("policy_name");
  c.document = text("document");
  c.in_cache = text("positions") == "in_cache";
  c.first_piece = small("first_piece");
  c.model = number("model", 16);
  c.tokenizer = number("tokenizer", 16);
  c.state.seen = small("tokens");
  json const asked = reference_model::parse_object(name, text("policy"));
  try {
    c.asked = {asked.at("policy").get<std::string>(), asked.at("sets").get<std::vector<std::string>>(),
               asked.at("budget").get<std::string>(), asked.at("pin").get<std::string>(),
               asked.at("seed").get<std::uint64_t>(), asked.at("base").get<std::uint64_t>(),
               asked.at("bound").get<std::string>(),  asked.at("prompt").get<std::uint64_t>(),
               asked.at("text").get<std::string>()};
  } catch (json::exception const&) {
    throw bad_file(name, "'policy' states no policy; the file is damaged, build it again");
  }

  kvsift::cache_image& image = c.state.cache;
  image.shape = {small("layers"), small("kv_heads"), small("group"), small("head_dim"), 1};
  std::size_t slots = 0;
  auto const refuse = [&](std::string const& tensor) {
    throw bad_file(name,
                   "tensor '" + tensor + "' has another shape than the rest; the file is damaged, build it again");
  };
  auto const words = [&](std::string const& tensor, std::size_t columns) {
    std::vector<std::uint64_t> shape;
    std::vector<std::byte> const bytes = file.read_bytes(tensor, "U32", shape);
    if (shape.size() != 2 || shape[1] != columns) refuse(tensor);
    std::vector<std::uint32_t> list(bytes.size() / 4);
    if (!list.empty()) std::memcpy(list.data(), bytes.data(), bytes.size());
    return list;
  };
  std::vector<std::uint32_t> const states = words("states", 6), held = words("held", 2);
  for (std::size_t r = 0; r < states.size(); r += 6)
    image.states.push_back({states[r], states[r + 1], states[r + 2], states[r + 3], states[r + 4], states[r + 5]});
  for (std::size_t l = 0; l < held.size(); l += 2)
    image.held.push_back(held[l]), image.least_held.push_back(held[l + 1]);
  image.positions = words("positions", 1);
  slots = image.positions.size();
  if (file.tensors().count("ranks") != 0) image.ranks = words("ranks", 1);
  image.vector_bytes = vector_bytes(c.storage, image.shape.head_dim);
  for (auto const& [tensor, to] : {std::pair{"keys", &image.keys}, std::pair{"values", &image.values}}) {
    std::vector<std::uint64_t> shape;
    *to = file.read_bytes(tensor, format_of(c.storage), shape);
    if (shape.size() != 2 || shape[0] != slots || shape[1] * bytes_of(format_of(c.storage)) != image.vector_bytes)
      refuse(tensor);
  }
  std::string const& order = text("columns");
  for (std::size_t at = 0; at < order.size();) {
    std::size_t const end = std::min(order.find(' ', at), order.size());
    std::string const column = order.substr(at, end - at);
    std::vector<std::uint64_t> shape;
    std::vector<std::byte> data = file.read_bytes("column." + column, "U8", shape);
    if (shape.size() != 2 || shape[0] != slots) refuse("column." + column);
    image.columns.push_back({column, static_cast<std::size_t>(shape[1]), std::move(data)});
    at = end + 1;
  }
  if (hex(checksum(c, text("policy"))) != text("checksum"))
    throw bad_file(name, "does not match its checksum; the file is damaged, build it again");
  return c;
}

}  // namespace

std::uint64_t fingerprint(reference_model::model const& m) {
  digest d;
  reference_model::config const& c = m.config;
  kvsift::rotary_encoding const& r = c.rotation;
  for (std::uint32_t const n : {c.layers, c.dim, c.heads, c.kv_heads, c.head_dim, c.hidden, c.vocab, c.max_positions,
                                static_cast<std::uint32_t>(r.pairs), r.rotary_dim, static_cast<std::uint32_t>(r.scaling), r.trained, c.tied ? 1u : 0u, c.bos, c.learned_positions ? 1u : 0u,
                                static_cast<std::uint32_t>(c.norm), static_cast<std::uint32_t>(c.between)})
    d.add_word(n);
  for (double const x : {r.theta, r.factor, r.slow, r.fast, r.amplitude, c.norm_eps, c.bias.steepness}) d.add(&x, sizeof x);
  auto const add = [&](reference_model::floats const& x) { d.add(x.data(), x.size() * sizeof(float)); };
  add(m.embedding);
  add(m.position_embedding);
  for (reference_model::layer_weights const& l : m.layers)
    for (auto const kind : reference_model::layer_weights::all()) add(l.*kind);
  add(m.final_norm);
  add(m.final_norm_bias);
  add(m.unembedding);
  return d.value();
}

std::uint64_t fingerprint(reference_model::tokenizer const& text) {
  digest d;
  for (std::uint32_t t = 0; t < text.vocab(); ++t) {
    d.add(text.piece(text.bos(), t));
    d.add_word(text.ends(t) ? 1 : 0);
  }
  return d.value();
}

void write_cache(std::string const& path, saved_cache const& c) {
  kvsift::cache_image const& image = c.state.cache;
  std::vector<std::uint32_t> states, held;
  for (kvsift::row_state const& s : image.states)
    states.insert(states.end(), {s.held, s.next, s.observed_from, s.limit, s.fed_from, s.choice});
  for (std::size_t l = 0; l < image.held.size(); ++l) held.insert(held.end(), {image.held[l], image.least_held[l]});
  std::vector<reference_model::tensor_to_write> tensors;
  auto const add = [&](std::string name, std::uint64_t rows, std::uint64_t columns, void const* bytes,
                       char const* format) {
    reference_model::tensor_to_write t;
    t.name = std::move(name);
    t.shape = {rows, columns};
    t.bytes = bytes;
    t.format = reference_model::find_format(format);
    tensors.push_back(std::move(t));
  };
  add("states", states.size() / 6, 6, states.data(), "U32");
  add("held", held.size() / 2, 2, held.data(), "U32");
  add("positions", image.slots(), 1, image.positions.data(), "U32");
  if (!image.ranks.empty()) add("ranks", image.slots(), 1, image.ranks.data(), "U32");
  add("keys", image.slots(), image.vector_bytes / bytes_of(format_of(c.storage)), image.keys.data(),
      format_of(c.storage));
  add("values", image.slots(), image.vector_bytes / bytes_of(format_of(c.storage)), image.values.data(),
      format_of(c.storage));
  std::string order;
  for (kvsift::column_image const& column : image.columns) {
    add("column." + column.name, image.slots(), column.bytes, column.data.data(), "U8");
    order += (order.empty() ? "" : " ") + column.name;
  }
  std::string const policy = policy_text(c.asked);
  reference_model::write_safetensors(path, tensors,
                                     {{"kvsift_cache", format_version},
                                      {"library", library_version()},
                                      {"model", hex(c.model)},
                                      {"tokenizer", hex(c.tokenizer)},
                                      {"policy", policy},
                                      {"policy_name", c.policy_name},
                                      {"storage", c.storage},
                                      {"positions", c.in_cache ? "in_cache" : "original"},
                                      {"first_piece", std::to_string(c.first_piece)},
                                      {"document", c.document},
                                      {"tokens", std::to_string(c.state.seen)},
                                      {"layers", std::to_string(image.shape.layers)},
                                      {"kv_heads", std::to_string(image.shape.kv_heads)},
                                      {"group", std::to_string(image.shape.group)},
                                      {"head_dim", std::to_string(image.shape.head_dim)},
                                      {"columns", order},
                                      {"checksum", hex(checksum(c, policy))}});
}

saved_cache read_cache(std::string const& path) {
  return read(reference_model::file_source(std::filesystem::path(path)));
}
saved_cache read_cache(std::string const& name, std::string bytes) {
  return read(reference_model::file_source(name, std::move(bytes)));
}

}  // namespace programs
