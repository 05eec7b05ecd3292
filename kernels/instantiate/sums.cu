// Policies that sum up attention.
#include <instantiate/every_verb.cuh>
namespace instantiate {

using namespace kvsift;

template struct verbs<cache<decltype(accumulated_attention_policy(64, 8))>, cache<decltype(mean_attention_policy(64, 8))>,
                      cache<decltype(roco(64, 9))>, cache<decltype(accumulated_deviation(64, 9))>>;

}  // namespace instantiate
