#pragma once
// The one place that states the version; CMake reads it from here.
#define KVSIFT_VERSION_MAJOR 0
#define KVSIFT_VERSION_MINOR 1
#define KVSIFT_VERSION_PATCH 0
