// Cuts of many rows of scores.
#include <device/verbs.cuh>

std::size_t device::select_rows_bytes(where on, kvsift::score_rows const& of) {
  return kvsift::select_rows_bytes(executor(on), of, on.threads);
}
void device::select_rows(where on, kvsift::score_rows const& of, kvsift::selection_cut* cuts, std::byte* workspace, std::size_t bytes) {
  kvsift::select_rows(executor(on), of, cuts, workspace, bytes, on.threads);
}
