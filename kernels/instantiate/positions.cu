// Policies that look at positions alone, and the one that keeps everything.
#include <instantiate/every_verb.cuh>
namespace instantiate {

using namespace kvsift;

template struct verbs<cache<decltype(full())>, cache<decltype(streaming_llm(4, 60))>, cache<decltype(recent_global(64, 4))>,
                      cache<decltype(keep_it_odd(64, 4, 8))>, cache<decltype(random_eviction(64, 4, 8))>>;

}  // namespace instantiate
