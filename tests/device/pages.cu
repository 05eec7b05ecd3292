// The same in pages, in half the bytes, with keys that are turned on reading.
#include <device/verbs.cuh>

template struct device::verbs<device::pages_cache>;
