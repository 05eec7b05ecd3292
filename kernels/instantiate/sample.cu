// What is compiled for every architecture: sums of attention under a ranked scope.
#include <instantiate/every_verb.cuh>
namespace instantiate {

using namespace kvsift;

template struct verbs<cache<decltype(roco(64, 9))>>;

}  // namespace instantiate
