#include <common/run_differences.hpp>

#include <map>

#include <nlohmann/json.hpp>

namespace programs {

namespace {

using nlohmann::json;

std::string as_text(json const& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string all;
  for (json const& one : value) all += (all.empty() ? "" : " ") + as_text(one);
  return all;
}

// Fields of a run by name; those of "with" stand among the others.
std::map<std::string, std::string> fields_of(std::string const& run) {
  std::map<std::string, std::string> all;
  json const object = json::parse(run);
  for (auto const& [name, value] : object.items()) {
    if (!value.is_object()) all[name] = as_text(value);
    else
      for (auto const& [inner, one] : value.items()) all[inner] = as_text(one);
  }
  return all;
}

}  // namespace

std::vector<std::string> run_differences(std::vector<std::string> const& runs, std::vector<std::string> const& places,
                                         std::set<std::string> const& but) {
  std::vector<std::map<std::string, std::string>> fields;
  for (std::string const& run : runs) fields.push_back(fields_of(run));
  std::map<std::string, std::size_t> first;  // of each place
  std::set<std::string> differ;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    auto const& before = fields[first.emplace(places[i], i).first->second];
    for (auto const& [name, value] : fields[i]) {
      auto const at = before.find(name);
      if (name != "drawn_from" && but.count(name) == 0 && at != before.end() && at->second != value) differ.insert(name);
    }
  }
  std::vector<std::string> texts;
  for (auto const& of : fields) {
    std::string text;
    for (std::string const& name : differ) {
      auto const at = of.find(name);
      if (at != of.end() && !at->second.empty()) text += " " + (name == "set" ? "" : name + "=") + at->second;
    }
    texts.push_back(text);
  }
  return texts;
}

}  // namespace programs
