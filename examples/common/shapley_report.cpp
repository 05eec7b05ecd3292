#include <common/shapley_report.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <common/heat_map.hpp>
#include <common/npy_file.hpp>
#include <common/table.hpp>
#include <nlohmann/json.hpp>
#include <reference_model/io/bad_file.hpp>

namespace programs {

namespace {
using ordered = nlohmann::ordered_json;
}  // namespace

shapley_report report_of(std::string const& where, std::string const& game, sample_set const& samples, double until) {
  auto const played = nlohmann::json::parse(game, nullptr, false);
  auto const count = [&](char const* field) -> std::size_t {
    bool const there = played.is_object() && played.contains(field) && played[field].is_number_unsigned();
    if (!there || played[field] == 0u)
      throw reference_model::bad_file(where, std::string("its game has no '") + field + "'; give results of shapley");
    return played[field].get<std::size_t>();
  };
  shapley_report r{game, count("layers"), count("kv_heads"), samples.size(), until, {}, {}, {}};
  std::size_t const players = r.layers * r.heads;
  if (r.until == 0) r.until = 1 / static_cast<double>(players);
  r.all = estimate(samples, players);
  r.runs = two_runs(samples, players);
  r.ends = everyone_and_nobody(samples, players);
  return r;
}

std::string shapley_report::unknown_heads() const {
  std::string all_of_them;
  std::vector<double> const values = all.values();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (std::isnan(values[i]))
      all_of_them += (all_of_them.empty() ? "" : ", ") + std::to_string(i / heads) + "-" + std::to_string(i % heads);
  return all_of_them;
}

std::string as_json(shapley_report const& r) {
  ordered slices = ordered::array();
  for (slice_tally const& s : r.all.slices)
    slices.push_back({{"size", s.size()}, {"draws", s.draws()}, {"mean", s.mean()}, {"deviation", s.deviation()}});
  auto const shapley = r.ends ? r.all.shapley(r.ends->difference()) : std::nullopt;
  return ordered{{"game", ordered::parse(r.game)},
                 {"samples", r.samples},
                 {"everyone", r.ends ? ordered(r.ends->inside) : ordered()},
                 {"nobody", r.ends ? ordered(r.ends->outside) : ordered()},
                 {"slices", slices},
                 {"values", r.all.values()},
                 {"errors", r.all.errors()},
                 {"shapley", shapley ? ordered(*shapley) : ordered()},
                 {"until", r.until},
                 {"mean_absolute_difference", r.runs.mean_absolute_difference},
                 {"rank_correlation", r.runs.rank_correlation},
                 {"stopped", r.stopped()}}
             .dump() +
         "\n";
}

std::string as_table(shapley_report const& r) {
  std::vector<std::string> header{"layer"};
  for (std::size_t h = 0; h < r.heads; ++h) header.push_back("head " + std::to_string(h));
  table t(header);
  std::vector<double> const values = r.all.values(), errors = r.all.errors();
  for (std::size_t l = 0; l < r.layers; ++l) {
    std::vector<std::string> row{std::to_string(l)};
    for (std::size_t i = l * r.heads; i < (l + 1) * r.heads; ++i)
      row.push_back(fixed(values[i], 4) + " +- " + fixed(errors[i], 4));
    t.add(row);
  }
  std::string text = t.aligned() + "\n";
  for (slice_tally const& s : r.all.slices)
    text += "slice " + std::to_string(s.size()) + " of " + std::to_string(r.all.players) + ": " +
            std::to_string(s.draws()) + " draws, D " + fixed(s.mean(), 4) + ", standard deviation " +
            fixed(s.deviation(), 4) + "\n";
  if (r.ends) text += "everyone is worth " + fixed(r.ends->inside, 4) + ", nobody " + fixed(r.ends->outside, 4) + "\n";
  if (std::string const heads = r.unknown_heads(); !heads.empty())
    text += "no draw tells of heads " + heads + ": give more --max-samples; scores are written when all have values\n";
  return text + "two runs differ by " + fixed(r.runs.mean_absolute_difference, 5) + " on average, " +
         (r.stopped() ? "" : "not ") + "below " + fixed(r.until, 5) + "; rank correlation " +
         fixed(r.runs.rank_correlation, 3) + "\n";
}

std::string as_scores(shapley_report const& r) {
  ordered scores = ordered::object();
  std::vector<double> const values = r.all.values();
  for (std::size_t i = 0; i < values.size(); ++i)
    scores[std::to_string(i / r.heads) + "-" + std::to_string(i % r.heads)] = values[i];
  return scores.dump() + "\n";
}

std::string as_arrays(shapley_report const& r) {
  std::vector<double> values;
  for (slice_tally const& s : r.all.slices)
    for (std::vector<double> const& field : {s.left(), s.left_count(), s.right(), s.right_count()})
      values.insert(values.end(), field.begin(), field.end());
  return npy_text({1, r.all.slices.size(), 4, r.all.players}, values);
}

std::string as_heat_map(shapley_report const& r) {
  std::vector<double> const values = r.all.values();
  double least = std::numeric_limits<double>::infinity(), most = -least;
  for (double const v : values)
    if (!std::isnan(v)) least = std::min(least, v), most = std::max(most, v);
  heat_map map;
  map.title = "Importance of KV heads: sliced Shapley values";
  map.row_label = "layer";
  map.column_label = "KV head";
  map.value_label = "of the way from " + fixed(least, 4) + " to " + fixed(most, 4);
  std::vector<std::vector<double>> cells(r.layers, std::vector<double>(r.heads));
  for (std::size_t i = 0; i < values.size(); ++i)
    cells[i / r.heads][i % r.heads] = most > least || std::isnan(values[i]) ? (values[i] - least) / (most - least) : 0.5;
  for (std::size_t l = 0; l < r.layers; ++l) map.rows.push_back(std::to_string(l));
  for (std::size_t h = 0; h < r.heads; ++h) map.columns.push_back(std::to_string(h));
  map.panels.push_back({std::to_string(r.samples) + " samples", cells});
  return draw(map);
}

}  // namespace programs
