// The attention mass of a window.
#include <device/verbs.cuh>

std::size_t device::attention_mass_bytes(where on, kvsift::cache_shape const& shape, kvsift::observation_window const& window) {
  return kvsift::attention_mass_bytes<kvsift::cuda_executor>(shape, window, on.threads);
}
void device::attention_mass(where on, kvsift::cache_shape const& shape, kvsift::observation_window const& window, float* mass,
                            std::size_t pitch, std::byte* workspace, std::size_t bytes) {
  kvsift::attention_mass(executor(on), shape, window, mass, pitch, workspace, bytes, on.threads);
}
