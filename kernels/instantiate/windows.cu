// Policies that look at the last queries.
#include <instantiate/every_verb.cuh>
namespace instantiate {

using namespace kvsift;

template struct verbs<cache<decltype(tova(64))>, cache<decltype(snapkv(64))>, cache<decltype(ada_snapkv(64))>,
                      cache<decltype(heavy_hitter(64, 4, 10))>>;

}  // namespace instantiate
