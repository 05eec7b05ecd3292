#include <common/head_table.hpp>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <reference_model/io/bad_file.hpp>
#include <reference_model/io/json_text.hpp>

namespace programs {

namespace {

using reference_model::bad_file;
using reference_model::json;

std::string whole_text(std::string const& path) {
  constexpr std::uintmax_t most = 256u << 20;
  std::error_code error;
  std::uintmax_t const size = std::filesystem::file_size(path, error);
  if (error) throw bad_file(path, "cannot be read: " + error.message() + "; name a file of head scores");
  if (size > most) throw bad_file(path, "has " + std::to_string(size) + " bytes; head scores have at most " + std::to_string(most));
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad() || text.size() != size) throw bad_file(path, "cannot be read; check that it is a readable file");
  return text;
}

double number(std::string const& path, std::string const& where, json const& value) {
  if (!value.is_number()) throw bad_file(path, where + " is " + reference_model::shown(value) + "; give numbers");
  return value.get<double>();
}

head_table from_json(std::string const& path, std::string const& text) {
  json const all = reference_model::parse_object(path, text);
  head_table t;
  std::vector<std::pair<std::size_t, std::size_t>> places;
  std::vector<double> means;
  for (auto const& [name, value] : all.items()) {
    unsigned layer = 0, head = 0;
    int used = 0;
    if (std::sscanf(name.c_str(), "%5u-%5u%n", &layer, &head, &used) != 2 || static_cast<std::size_t>(used) != name.size() ||
        layer > 4095 || head > 4095)
      throw bad_file(path, "the name '" + name + "' is no head; give \"layer-head\", each from 0 to 4095");
    double sum = 0;
    if (value.is_array()) {
      if (value.empty()) throw bad_file(path, "head " + name + " has no samples; give at least one");
      for (json const& sample : value) sum += number(path, "head " + name, sample);
      sum /= static_cast<double>(value.size());
    } else {
      sum = number(path, "head " + name, value);
    }
    places.emplace_back(layer, head);
    means.push_back(sum);
    t.layers = std::max<std::size_t>(t.layers, layer + 1);
    t.heads = std::max<std::size_t>(t.heads, head + 1);
  }
  if (places.size() != t.layers * t.heads)  // names are distinct
    throw bad_file(path, "has " + std::to_string(places.size()) + " heads; " + std::to_string(t.layers) + " layers of " +
                             std::to_string(t.heads) + " are named, give every one");
  t.values.resize(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) t.values[places[i].first * t.heads + places[i].second] = means[i];
  return t;
}

head_table from_tsv(std::string const& path, std::string const& text) {
  head_table t;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    std::istringstream cells(line);
    std::size_t heads = 0;
    for (std::string cell; std::getline(cells, cell, '\t'); ++heads) {
      char* end = nullptr;
      t.values.push_back(std::strtod(cell.c_str(), &end));
      if (cell.empty() || *end != '\0')
        throw bad_file(path, "line " + std::to_string(t.layers + 1) + " has '" + cell + "'; give numbers separated by tabs");
    }
    if (t.layers != 0 && heads != t.heads)
      throw bad_file(path, "line " + std::to_string(t.layers + 1) + " has " + std::to_string(heads) +
                               " numbers; the lines before it have " + std::to_string(t.heads));
    t.heads = heads;
    ++t.layers;
  }
  return t;
}

/// The text behind 'name': in the header of an .npy file.
std::string header_value(std::string const& path, std::string const& header, std::string const& name) {
  std::size_t const at = header.find("'" + name + "':");
  if (at == std::string::npos) throw bad_file(path, "the header has no '" + name + "'; is it an .npy file?");
  std::size_t const begin = header.find_first_not_of(' ', at + name.size() + 3);
  std::size_t const end = begin == std::string::npos ? begin
                          : header[begin] == '('     ? header.find(')', begin)
                                                     : header.find_first_of(",}", begin);
  if (end == std::string::npos) throw bad_file(path, "the header breaks off at '" + name + "'; write it again");
  return header.substr(begin, end - begin);
}

head_table from_npy(std::string const& path, std::string const& text, std::size_t task) {
  if (text.size() < 10 || text.compare(0, 6, "\x93NUMPY") != 0) throw bad_file(path, "is no .npy file; write one with numpy.save");
  std::size_t const length = static_cast<unsigned char>(text[8]) + 256u * static_cast<unsigned char>(text[9]);
  if (text[6] != 1 || text.size() < 10 + length) throw bad_file(path, "is not of .npy format 1, or breaks off in its header; write it again");
  std::string const header = text.substr(10, length);
  std::string const kind = header_value(path, header, "descr"), order = header_value(path, header, "fortran_order");
  if (kind != "'<f8'" || order != "False") throw bad_file(path, "holds " + kind + ", fortran_order " + order + "; give '<f8' in C order");
  std::istringstream numbers(header_value(path, header, "shape").substr(1));
  std::vector<std::size_t> shape;
  std::size_t count = 1;
  for (std::string cell; std::getline(numbers, cell, ',');) {
    if (cell.find_first_not_of(' ') == std::string::npos) continue;
    shape.push_back(std::strtoul(cell.c_str(), nullptr, 10));
    if (shape.back() == 0 || shape.back() > (std::size_t{1} << 24) / count)
      throw bad_file(path, "has a dimension of" + cell + "; give 1 and more, not above 2^24 numbers");
    count *= shape.back();
  }
  if (text.size() - 10 - length != count * sizeof(double))
    throw bad_file(path, "holds " + std::to_string(text.size() - 10 - length) + " bytes of numbers; its shape asks for " +
                             std::to_string(count * sizeof(double)));
  std::vector<double> values(count);
  std::memcpy(values.data(), text.data() + 10 + length, count * sizeof(double));
  if (shape.size() == 2) return {shape[0], shape[1], values};
  if (shape.size() != 4 || shape[2] != 4)
    throw bad_file(path, "has " + std::to_string(shape.size()) + " dimensions; give [layers, heads], or CoKV's [tasks, slices, 4, heads]");
  if (task >= shape[0])
    throw bad_file(path, "has tasks 0 to " + std::to_string(shape[0] - 1) + "; task " + std::to_string(task) + " is asked for");
  head_table t{1, shape[3], std::vector<double>(shape[3], 0.0)};
  for (std::size_t slice = 0; slice < shape[1]; ++slice) {
    double const* const fields =
        values.data() + (task * shape[1] + slice) * 4 * shape[3];  // contributions, counts, and both of the complements
    for (std::size_t i = 0; i < shape[3]; ++i) t.values[i] += fields[i] / fields[shape[3] + i];
  }
  return t;
}

}  // namespace

head_table load_head_table(std::string const& path, std::size_t task) {
  std::string const ending = std::filesystem::path(path).extension().string();
  if (ending != ".json" && ending != ".tsv" && ending != ".npy")
    throw bad_file(path, "does not end in .json, .tsv or .npy; give head scores in one of these forms");
  std::string const text = whole_text(path);
  head_table const t = ending == ".json" ? from_json(path, text) : ending == ".tsv" ? from_tsv(path, text) : from_npy(path, text, task);
  if (t.values.empty()) throw bad_file(path, "holds no numbers; give one for each head");
  for (double const x : t.values)
    if (!std::isfinite(x)) throw bad_file(path, "holds a number that is not finite; give one for each head");
  return t;
}

}  // namespace programs
