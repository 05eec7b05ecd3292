// The verbs of tests/device over the stand-in of cuda_executor.
#include <device/conversions.cu>
#include <device/mass.cu>
#include <device/select.cu>
#include <device/verbs.cuh>

template struct device::verbs<device::rows_cache>;
template struct device::verbs<device::pages_cache>;
