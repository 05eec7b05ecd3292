#include <common/lab_rows.hpp>

#include <algorithm>

#include <common/tasks/answer.hpp>

namespace programs {

lab_rows rows_of(loaded_model const& m, lab_options const& a, samples_of_task const& t, lab_run const& r,
                 std::function<void(std::size_t)> const& done) {
  result_folder folder(r.folder, r.task, t.asked.metrics, folder_key_of(a, r), r.command);
  std::size_t const there = std::min(folder.rows().size(), t.samples.size());
  done(there);
  task_answers const answers = answer_all(m, r.choice, r.plan, t.samples, there, a.shared.executor,
                                          a.shared.decode_first_token, [&](std::size_t i, answered const& one) {
                                            folder.add(row_of(t.samples[i], one));
                                            done(1);
                                          });
  folder.finish(answers.memory);
  return {{folder.rows().begin(), folder.rows().begin() + static_cast<std::ptrdiff_t>(t.samples.size())},
          answers.memory, answers.heap};
}

}  // namespace programs
