// What is compiled for every architecture: sums of attention under a ranked scope, in rows and in pages.
#include <instantiate/every_verb.cuh>
namespace instantiate {

using namespace kvsift;

template struct verbs<cache<decltype(roco(64, 9))>, cache<decltype(roco(64, 9)), bf16_payload, original_positions, dropped, in_pages>>;

}  // namespace instantiate
