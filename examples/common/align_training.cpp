#include <common/align_training.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <kvsift/collective/product.hpp>
#include <kvsift/core/random.hpp>
#include <kvsift/evict/verbs.hpp>
#include <kvsift/policy/named.hpp>
#include <reference_model/io/safetensors.hpp>
#include <reference_model/model/transformer.hpp>

namespace programs {

namespace {

using kvsift::parallel_executor;

// out [rows of b, rows of a] = b a', for a [m, k] and b [n, k].
void product(parallel_executor const& on, float const* a, std::size_t m, float const* b, std::size_t n, std::size_t k, std::vector<float>& packed,
             float* out) {
  packed.assign(kvsift::packed_floats(m, k), 0.0f);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t d = 0; d < k; ++d) packed[kvsift::packed_place(i, d, k)] = a[i * k + d];
  constexpr std::size_t part = 64;
  on.launch(static_cast<std::uint32_t>((n + part - 1) / part), [&](auto const& g, std::uint32_t block) {
    std::size_t const first = block * part;
    kvsift::products_of(g, packed.data(), m, k, b + first * k, k, std::min(part, n - first), out + first * m, 1, m);
  });
}

// to [columns, rows] = from [rows, columns], turned.
void turn(float const* from, std::size_t rows, std::size_t columns, std::vector<float>& to) {
  to.resize(rows * columns);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
}

void add_bias(float* x, std::size_t n, std::size_t width, float const* bias, bool bent) {
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t u = 0; u < width; ++u) {
      float const y = x[i * width + u] + bias[u];
      x[i * width + u] = bent && y < 0 ? 0 : y;
    }
}

void sum_rows(float const* x, std::size_t n, std::size_t width, float* sums) {
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t u = 0; u < width; ++u) sums[u] += x[i * width + u];
}

}  // namespace

void add_pairs(parallel_executor const& on, reference_model::model const& m, std::span<std::uint32_t const> window, std::uint32_t sinks,
               align_pairs& keys, align_pairs& values) {
  reference_model::config const& c = m.config;
  auto const n = static_cast<std::uint32_t>(window.size());
  kvsift::require(n > sinks + 1, "tokens of a window", n, "give more than the sinks and one");
  kvsift::cache_shape const shape{c.layers, c.kv_heads, c.group(), c.head_dim, 1};
  std::vector<std::uint32_t> shorter(window.begin(), window.end()), positions(n);
  shorter.erase(shorter.begin() + sinks);
  std::iota(positions.begin(), positions.end(), 0u);
  reference_model::transformer decoder(m, n);
  kvsift::kv_tensor whole{shape, kvsift::full(), {.capacity = n, .max_piece = n}}, without{shape, kvsift::full(), {.capacity = n, .max_piece = n}};
  decoder.forward(on, whole, window.data(), positions.data(), n);
  decoder.forward(on, without, shorter.data(), positions.data(), n - 1);
  keys.dim = values.dim = c.head_dim;
  for (std::uint32_t r = 0; r < shape.rows(); ++r) {
    auto const before = whole.view().row(r), after = without.view().row(r);
    for (std::uint32_t j = 0; j + sinks + 1 < n; ++j) {
      auto const add = [&](align_pairs& to, auto const& from_plane, auto const& to_plane) {
        auto const* const x = reinterpret_cast<float const*>(from_plane.at(sinks + 1 + j));
        auto const* const y = reinterpret_cast<float const*>(to_plane.at(sinks + j));
        to.from.insert(to.from.end(), x, x + c.head_dim);
        to.to.insert(to.to.end(), y, y + c.head_dim);
        to.position.push_back(static_cast<std::uint16_t>(j));
        to.layer.push_back(static_cast<std::uint16_t>(before.layer));
        to.head.push_back(static_cast<std::uint16_t>(before.head));
      };
      add(keys, before.keys, after.keys);
      add(values, before.values, after.values);
    }
  }
}

align_trainer::align_trainer(align_sizes const& s, std::uint64_t seed) : sizes_(s) {
  std::size_t all = 0;
  auto const add = [&](char const* name, std::uint64_t rows, std::uint64_t columns) {
    tensors_.push_back({name, rows, columns, all});
    all += tensors_.back().size();
  };
  add("emb_pos.weight", s.positions, s.of_position);  // in the order of `part`
  add("emb_blocks.weight", s.layers, s.of_layer);
  add("emb_heads.weight", s.heads, s.of_head);
  add("fc1.weight", s.wide, s.inputs());
  add("fc1.bias", s.wide, 0);
  add("fc2.weight", s.narrow, s.wide);
  add("fc2.bias", s.narrow, 0);
  add("fc3.weight", s.dim, s.narrow);
  add("fc3.bias", s.dim, 0);
  parameters_.resize(all);
  gradient_.resize(all);
  first_moment_.assign(all, 0.0f);
  second_moment_.assign(all, 0.0f);
  kvsift::counter_random const draw{seed};
  std::uint32_t const fan_in[] = {0, 0, 0, s.inputs(), s.inputs(), s.wide, s.wide, s.narrow, s.narrow};
  for (std::uint32_t t = 0; t < tensors_.size(); ++t)
    for (std::size_t i = 0; i < tensors_[t].size(); ++i) {
      auto const place = static_cast<std::uint32_t>(i);
      float& x = parameters_[tensors_[t].begin + i];
      if (fan_in[t] != 0) {
        x = (2 * draw.uniform(t, place) - 1) / std::sqrt(static_cast<float>(fan_in[t]));
      } else {  // of mean 0 and variance 1
        double sum = -6;
        for (std::uint32_t k = 0; k < 12; ++k) sum += static_cast<double>(draw.uniform(t, place, k));
        x = static_cast<float>(sum);
      }
    }
}

double align_trainer::forward(parallel_executor const& on, align_pairs const& pairs, std::span<std::uint32_t const> chosen) {
  std::size_t const n = chosen.size(), dim = sizes_.dim, inputs = sizes_.inputs();
  inputs_.resize(n * inputs);
  wide_.resize(n * sizes_.wide);
  narrow_.resize(n * sizes_.narrow);
  wrong_.resize(n * dim);
  for (std::size_t i = 0; i < n; ++i) {
    std::size_t const c = chosen[i];
    float* z = std::copy_n(pairs.from.data() + c * dim, dim, inputs_.data() + i * inputs);
    z = std::copy_n(at(of_position) + std::size_t{pairs.position[c]} * sizes_.of_position, sizes_.of_position, z);
    z = std::copy_n(at(of_layer) + std::size_t{pairs.layer[c]} * sizes_.of_layer, sizes_.of_layer, z);
    std::copy_n(at(of_head) + std::size_t{pairs.head[c]} * sizes_.of_head, sizes_.of_head, z);
  }
  product(on, at(w1), sizes_.wide, inputs_.data(), n, inputs, packed_, wide_.data());
  add_bias(wide_.data(), n, sizes_.wide, at(b1), true);
  product(on, at(w2), sizes_.narrow, wide_.data(), n, sizes_.wide, packed_, narrow_.data());
  add_bias(narrow_.data(), n, sizes_.narrow, at(b2), true);
  product(on, at(w3), dim, narrow_.data(), n, sizes_.narrow, packed_, wrong_.data());
  add_bias(wrong_.data(), n, dim, at(b3), false);
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t d = 0; d < dim; ++d) {
      std::size_t const c = chosen[i] * dim + d;
      float const e = wrong_[i * dim + d] += pairs.from[c] - pairs.to[c];
      sum += static_cast<double>(e) * static_cast<double>(e);
    }
  return sum / static_cast<double>(n * dim);
}

void align_trainer::backward(parallel_executor const& on, align_pairs const& pairs, std::span<std::uint32_t const> chosen) {
  std::size_t const n = chosen.size(), dim = sizes_.dim, inputs = sizes_.inputs(), wide = sizes_.wide, narrow = sizes_.narrow;
  std::fill(gradient_.begin(), gradient_.end(), 0.0f);
  for (float& e : wrong_) e *= 2.0f / static_cast<float>(n * dim);
  // to [out, in] = sum over the batch of d [n, out] and x [n, in]
  auto const weights = [&](std::vector<float> const& d, std::size_t out, std::vector<float> const& x, std::size_t in, float* to) {
    turn(d.data(), n, out, turned_);
    turn(x.data(), n, in, turned_too_);
    product(on, turned_too_.data(), in, turned_.data(), out, n, packed_, to);
  };
  // to [n, in] = d [n, out] W
  auto const back = [&](std::vector<float> const& d, std::size_t out, float const* w, std::size_t in, std::vector<float>& to) {
    turn(w, out, in, turned_);
    to.resize(n * in);
    product(on, turned_.data(), in, d.data(), n, out, packed_, to.data());
  };
  auto const where_bent = [](std::vector<float>& d, std::vector<float> const& x) {
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = x[i] > 0 ? d[i] : 0;
  };
  weights(wrong_, dim, narrow_, narrow, change(w3));
  sum_rows(wrong_.data(), n, dim, change(b3));
  back(wrong_, dim, at(w3), narrow, narrow_change_);
  where_bent(narrow_change_, narrow_);
  weights(narrow_change_, narrow, wide_, wide, change(w2));
  sum_rows(narrow_change_.data(), n, narrow, change(b2));
  back(narrow_change_, narrow, at(w2), wide, wide_change_);
  where_bent(wide_change_, wide_);
  weights(wide_change_, wide, inputs_, inputs, change(w1));
  sum_rows(wide_change_.data(), n, wide, change(b1));
  back(wide_change_, wide, at(w1), inputs, input_change_);
  for (std::size_t i = 0; i < n; ++i) {
    float const* z = input_change_.data() + i * inputs + dim;
    auto const add = [&](part p, std::size_t row, std::uint32_t width) {
      float* const to = change(p) + row * width;
      for (std::uint32_t u = 0; u < width; ++u) to[u] += z[u];
      z += width;
    };
    std::size_t const c = chosen[i];
    add(of_position, pairs.position[c], sizes_.of_position);
    add(of_layer, pairs.layer[c], sizes_.of_layer);
    add(of_head, pairs.head[c], sizes_.of_head);
  }
}

double align_trainer::step(parallel_executor const& on, align_pairs const& pairs, std::span<std::uint32_t const> chosen, double learning_rate) {
  double const before = forward(on, pairs, chosen);
  backward(on, pairs, chosen);
  double length = 0;
  for (float const g : gradient_) length += static_cast<double>(g) * static_cast<double>(g);
  double const shortened = std::min(1.0, 1.0 / (std::sqrt(length) + 1e-6));
  ++steps_;
  double const t = static_cast<double>(steps_), first = 1 - std::pow(0.9, t), second = 1 - std::pow(0.999, t);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    double const g = static_cast<double>(gradient_[i]) * shortened;
    double const m = 0.9 * static_cast<double>(first_moment_[i]) + 0.1 * g, v = 0.999 * static_cast<double>(second_moment_[i]) + 0.001 * g * g;
    first_moment_[i] = static_cast<float>(m);
    second_moment_[i] = static_cast<float>(v);
    double const x = static_cast<double>(parameters_[i]) * (1 - learning_rate * 0.01);
    parameters_[i] = static_cast<float>(x - learning_rate * (m / first) / (std::sqrt(v / second) + 1e-8));
  }
  return before;
}

double align_trainer::error(parallel_executor const& on, align_pairs const& pairs) {
  constexpr std::size_t at_once = 8192;
  std::vector<std::uint32_t> chosen;
  double sum = 0;
  for (std::size_t first = 0; first < pairs.size(); first += at_once) {
    chosen.resize(std::min(at_once, pairs.size() - first));
    std::iota(chosen.begin(), chosen.end(), static_cast<std::uint32_t>(first));
    sum += forward(on, pairs, chosen) * static_cast<double>(chosen.size());
  }
  return sum / static_cast<double>(pairs.size());
}

kvsift::align_network align_trainer::network() const {
  return {{tensor_of(of_position), tensor_of(of_layer), tensor_of(of_head), tensor_of(w1), tensor_of(b1), tensor_of(w2), tensor_of(b2), tensor_of(w3), tensor_of(b3)},
          sizes_.dim, sizes_.layers, sizes_.heads, sizes_.positions};
}

void align_trainer::add_tensors(std::vector<reference_model::tensor_to_write>& to, std::string const& prefix, std::vector<float> const& numbers) const {
  for (tensor const& t : tensors_) {
    std::vector<std::uint64_t> shape{t.rows};
    if (t.columns != 0) shape.push_back(t.columns);
    to.push_back({prefix + t.name, shape, numbers.data() + t.begin});
  }
}

void align_trainer::write(std::filesystem::path const& path, std::vector<reference_model::tensor_to_write> const& tensors) const {
  reference_model::write_safetensors(path, tensors, {{"trained_positions", std::to_string(sizes_.positions)}, {"trained_start_size", std::to_string(sizes_.sinks)}, {"train_steps", std::to_string(steps_)}});
}

void align_trainer::write(std::filesystem::path const& path) const {
  std::vector<reference_model::tensor_to_write> all;
  add_tensors(all, "", parameters_);
  write(path, all);
}

void align_trainer::write_state(std::filesystem::path const& path, align_trainer const& keys, align_trainer const& values) {
  std::vector<reference_model::tensor_to_write> all;
  for (auto const& [name, net] : {std::pair{"keys.", &keys}, {"values.", &values}}) {
    net->add_tensors(all, name, net->parameters_);
    net->add_tensors(all, std::string(name) + "first_moment.", net->first_moment_);
    net->add_tensors(all, std::string(name) + "second_moment.", net->second_moment_);
  }
  keys.write(path, all);
}

void align_trainer::resume(std::filesystem::path const& path, align_trainer& keys, align_trainer& values) {
  reference_model::safetensors_reader file(path);
  auto const stated = file.metadata().find("train_steps");
  std::string const digits = stated == file.metadata().end() ? "" : stated->second;
  if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos)
    throw reference_model::bad_file(path.string(), "train_steps is '" + digits + "'; a whole number is expected; train from the beginning");
  auto const read = [&](std::string const& name, align_trainer& net) {
    for (auto const& [kind, numbers] : {std::pair{"", &net.parameters_}, {"first_moment.", &net.first_moment_}, {"second_moment.", &net.second_moment_}})
      for (tensor const& t : net.tensors_) {
        std::vector<std::uint64_t> shape{t.rows};
        if (t.columns != 0) shape.push_back(t.columns);
        file.read(name + kind + t.name, shape, numbers->data() + t.begin);
      }
    net.steps_ = std::stoull(digits);
  };
  read("keys.", keys);
  read("values.", values);
}

}  // namespace programs
