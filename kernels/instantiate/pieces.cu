// Prompts in pieces, and heads that choose for themselves.
#include <instantiate/every_verb.cuh>
namespace instantiate {

using namespace kvsift;

template struct verbs<cache<decltype(strided(64, 8, mean_attention{}, protect{4, 8}))>,
                      cache<decltype(reference_strided(64, 8, mean_attention{}, protect{}, forced_then_varying{9}))>,
                      cache<decltype(reservoir(4, 60))>, cache<decltype(hybrid(recipe_list{}))>>;

}  // namespace instantiate
