#include <common/experiment_file.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>

namespace programs {

namespace {

using ordered = nlohmann::ordered_json;

// The fields of one object of the file; those that nobody asked for are refused.
class fields {
 public:
  fields(std::string const& path, std::string where, ordered const& object)
      : path_(path), where_(std::move(where)), object_(object) {}

  ordered const* find(std::string const& name) {
    known_.push_back(name);
    return object_.contains(name) ? &object_[name] : nullptr;
  }
  void take(std::string const& name, std::string& to) {
    ordered const* const v = find(name);
    if (v == nullptr) return;
    if (!v->is_string() || v->get<std::string>().empty()) refuse(name, *v, "a text that is not empty");
    to = v->get<std::string>();
  }
  void take(std::string const& name, bool& to) {
    ordered const* const v = find(name);
    if (v == nullptr) return;
    if (!v->is_boolean()) refuse(name, *v, "true or false");
    to = v->get<bool>();
  }
  void take(std::string const& name, std::uint64_t& to, std::uint64_t least) {
    ordered const* const v = find(name);
    if (v == nullptr) return;
    if (!v->is_number_unsigned() || v->get<std::uint64_t>() < least)
      refuse(name, *v, "a whole number of at least " + std::to_string(least));
    to = v->get<std::uint64_t>();
  }
  void take(std::string const& name, std::vector<std::string>& to, std::string const& what) {
    ordered const* const v = find(name);
    if (v == nullptr) return;
    to.clear();
    for (ordered const& one : list(name, *v, what)) {
      bool const number = one.is_number_unsigned();  // a budget of so many slots
      if (!number && (!one.is_string() || one.get<std::string>().empty())) refuse(name, *v, what);
      to.push_back(number ? one.dump() : one.get<std::string>());
    }
  }
  template <class Number>
  void take(std::string const& name, std::vector<Number>& to, std::uint64_t least, std::uint64_t most) {
    ordered const* const v = find(name);
    if (v == nullptr) return;
    std::string const what =
        "whole numbers from " + std::to_string(least) + " to " + std::to_string(most) + ", one or a list";
    to.clear();
    for (ordered const& one : list(name, *v, what)) {
      if (!one.is_number_unsigned() || one.get<std::uint64_t>() < least || one.get<std::uint64_t>() > most)
        refuse(name, *v, what);
      to.push_back(static_cast<Number>(one.get<std::uint64_t>()));
    }
  }
  // A value alone stands for a list of it.
  std::vector<ordered> list(std::string const& name, ordered const& v, std::string const& what) const {
    std::vector<ordered> all;
    if (!v.is_array()) return {v};
    for (ordered const& one : v) all.push_back(one);
    if (all.empty()) refuse(name, v, what);
    return all;
  }
  void end() const {
    for (auto const& [name, value] : object_.items()) {
      if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
      std::string all;
      for (std::string const& one : known_) all += (all.empty() ? "" : ", ") + one;
      throw reference_model::bad_file(path_, where_ + name + " is " + shown(value) + ", but is no field; give one of " + all);
    }
  }
  [[noreturn]] void refuse(std::string const& name, ordered const& value, std::string const& wanted) const {
    throw reference_model::bad_file(path_, where_ + name + " is " + shown(value) + "; give " + wanted);
  }

 private:
  static std::string shown(ordered const& value) {
    std::string const text = value.dump(-1, ' ', false, ordered::error_handler_t::replace);
    return text.size() <= 60 ? text : text.substr(0, 57) + "...";
  }
  std::string const& path_;
  std::string where_;
  ordered const& object_;
  std::vector<std::string> known_;
};

// What may differ between tasks.
void take_task(fields& f, lab_options& a) {
  f.take("lengths", a.lengths, 16, 0x7ffffffe);
  f.take("samples", a.prompts, 1);
  f.take("depths", a.depths, 1);
  f.take("haystack", a.haystack);
  f.take("data", a.data);
  f.take("text", a.text);
  f.take("tokens", a.tokens, 0);
  f.take("window", a.window, 0);
  f.take("from", a.from, 1);
  f.take("probe", a.probe, 0);
}

// What may differ between policies.
void take_policy(fields& f, shared_options& o) {
  f.take("budgets", o.budgets, "budgets as \"N\" or \"P%\", one or a list");
  f.take("set", o.sets, "settings as \"FIELD=VALUE\", one or a list");
  f.take("positions", o.positions, "original, in_cache, learned_align or recompute, one or a list");
  f.take("align", o.align);
  f.take("pin", o.pin);
  f.take("bound", o.bound);
  f.take("layout", o.layout);
  f.take("prefill", o.prefill);
  f.take("decode_first_token", o.decode_first_token);
}

std::string last_part(std::string const& path) {
  std::filesystem::path p = path;
  if (p.filename().empty()) p = p.parent_path();
  return path.empty() ? "shipped" : p.filename().string();
}

// The elements of a list whose elements are names or objects; `key` is the object's field with the name.
template <class Take>
std::vector<lab_options> each_of(std::string const& path, fields& f, std::string const& name, std::string const& key,
                                 std::vector<lab_options> const& starts, Take const& take) {
  ordered const* const v = f.find(name);
  if (v == nullptr) return starts;
  std::string const wanted = "a name, an object with " + key + ", or a list of those";
  std::vector<lab_options> all;
  for (lab_options const& start : starts) {
    std::size_t i = 0;
    for (ordered const& one : f.list(name, *v, wanted)) {
      std::string const where = name + "[" + std::to_string(i++) + "]";
      lab_options a = start;
      std::string called;
      ordered const object = one.is_string() ? ordered{{key, one}} : one;
      if (!object.is_object()) f.refuse(name, *v, wanted);
      fields inner(path, where + ".", object);
      inner.take(key, called);
      if (called.empty()) throw reference_model::bad_file(path, where + " has no " + key + "; " + wanted + " is wanted");
      take(inner, a, called);
      inner.end();
      all.push_back(std::move(a));
    }
  }
  return all;
}

}  // namespace

std::vector<lab_options> read_experiment(std::string const& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw reference_model::bad_file(path, "cannot be read; give a JSON file that says an experiment");
  ordered object;
  try {
    object = ordered::parse(file);
  } catch (ordered::parse_error const& wrong) {
    throw reference_model::bad_file(path, "is no JSON, byte " + std::to_string(wrong.byte) + " is wrong; mend it");
  }
  if (!object.is_object()) throw reference_model::bad_file(path, "is no JSON object; give one with tasks and policies");
  fields f(path, "", object);
  lab_options a;
  std::string about;
  f.take("about", about);
  std::vector<std::uint64_t> seeds{1};
  f.take("seeds", seeds, 0, 0x7ffffffe);
  f.take("executor", a.shared.executor);
  f.take("jobs", a.processes.jobs, 1);
  f.take("devices", a.processes.devices, 0, 1023);
  f.take("allow_commands", a.commands);
  take_task(f, a);
  take_policy(f, a.shared);

  std::vector<lab_options> all{a};
  all = each_of(path, f, "checkpoints", "model", all, [](fields& inner, lab_options& one, std::string const& model) {
    one.shared.model = model == "shipped" ? "" : model;
    inner.take("tokenizer", one.shared.tokenizer);
    inner.take("align", one.shared.align);
    one.checkpoint = last_part(one.shared.model);
  });
  std::set<std::string> checkpoints;
  for (lab_options const& one : all)
    if (!checkpoints.insert(one.checkpoint).second)
      f.refuse("checkpoints", object["checkpoints"], "models whose last part of the path differs");
  if (all.size() == 1) all.front().checkpoint.clear();
  std::vector<lab_options> seeded;
  for (lab_options const& one : all)
    for (std::uint64_t const seed : seeds) {
      seeded.push_back(one);
      seeded.back().shared.seed = seed;
    }
  all = each_of(path, f, "tasks", "task", seeded, [](fields& inner, lab_options& one, std::string const& task) {
    one.tasks = {task};
    take_task(inner, one);
  });
  all = each_of(path, f, "policies", "policy", all, [](fields& inner, lab_options& one, std::string const& policy) {
    one.shared.policies = {policy};
    take_policy(inner, one.shared);
  });
  f.end();
  return all;
}

std::string as_experiment(lab_options const& a) {
  lab_options const usual;
  shared_options const &o = a.shared, &plain = usual.shared;
  ordered all;
  auto const add = [&](char const* name, auto const& value, auto const& standard) {
    if (value != standard) all[name] = value;
  };
  if (!o.model.empty() || !o.tokenizer.empty()) {
    all["checkpoints"] = {{{"model", o.model.empty() ? "shipped" : o.model}}};
    if (!o.tokenizer.empty()) all["checkpoints"][0]["tokenizer"] = o.tokenizer;
  }
  all["tasks"] = a.tasks;
  all["policies"] = o.policies;
  std::vector<std::string> budgets = o.budgets;
  std::erase(budgets, "");
  add("budgets", budgets, plain.budgets);
  all["seeds"] = {o.seed};
  all["samples"] = a.prompts;
  add("depths", a.depths, usual.depths);
  add("lengths", a.lengths, usual.lengths);
  add("set", o.sets, plain.sets);
  add("positions", o.positions, plain.positions);
  add("align", o.align, plain.align);
  add("pin", o.pin, plain.pin);
  add("bound", o.bound, plain.bound);
  add("layout", o.layout, plain.layout);
  add("prefill", o.prefill, plain.prefill);
  add("decode_first_token", o.decode_first_token, plain.decode_first_token);
  add("haystack", a.haystack, usual.haystack);
  add("data", a.data, usual.data);
  add("text", a.text, usual.text);
  add("tokens", a.tokens, usual.tokens);
  add("window", a.window, usual.window);
  add("from", a.from, usual.from);
  add("probe", a.probe, usual.probe);
  add("allow_commands", a.commands, usual.commands);
  add("executor", o.executor, plain.executor);
  return all.dump(2) + "\n";
}

}  // namespace programs
