// Policies chosen at run time, in rows.
#include <device/verbs.cuh>

template struct device::verbs<device::rows_cache>;
