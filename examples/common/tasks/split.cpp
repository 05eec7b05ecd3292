#include <common/tasks/split.hpp>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <vector>

#include <common/output_file.hpp>
#include <common/policy_choice.hpp>
#include <common/tasks/draws.hpp>
#include <common/tasks/rows.hpp>

namespace programs {

split_files split_rows(std::string const& path, std::string const& valid, std::uint64_t seed,
                       std::string const& folder) {
  auto const rows = read_rows(path);
  std::size_t const wanted = slots_of(valid, rows.size());
  if (wanted >= rows.size())
    throw usage_error("--valid is " + valid + "; '" + path + "' has " + std::to_string(rows.size()) +
                      " rows, of which one has to be left");
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  draws draw(seed, 0, "split");
  draw.shuffle(order);
  std::vector<bool> is_valid(rows.size(), false);
  for (std::size_t i = 0; i < wanted; ++i) is_valid[order[i]] = true;

  namespace fs = std::filesystem;
  fs::path const into = folder.empty() ? fs::path(path).parent_path() : fs::path(folder);
  if (!folder.empty()) make_output_folder(folder);
  std::string const stem = (into / fs::path(path).stem()).string();
  split_files files{stem + "-valid.jsonl", stem + "-test.jsonl", wanted, rows.size() - wanted};
  output_file first("--out", files.valid), second("--out", files.test);
  for (std::size_t i = 0; i < rows.size(); ++i) (is_valid[i] ? first : second).write(rows[i].fields.dump() + "\n");
  first.commit();
  second.commit();
  return files;
}

}  // namespace programs
