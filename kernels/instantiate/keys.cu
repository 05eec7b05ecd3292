// Policies that look at keys.
#include <instantiate/every_verb.cuh>
namespace instantiate {

using namespace kvsift;

template struct verbs<cache<decltype(key_norm(64, 4, 8))>, cache<decltype(lsh(64, 4, 8))>, cache<decltype(keydiff(64))>,
                      cache<decltype(expected_attention(64))>>;

}  // namespace instantiate
