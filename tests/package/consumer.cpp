// What a user's first program needs to compile: the umbrella, the version, and one object of the library.
#include <kvsift/kvsift.hpp>
#include <kvsift/version.hpp>

int main() {
  kvsift::cache_shape const shape{.layers = 2, .kv_heads = 4, .group = 2, .head_dim = 64};
  kvsift::check(shape);
  return shape.rows() == 8 && KVSIFT_VERSION_MAJOR == 0 ? 0 : 1;
}
