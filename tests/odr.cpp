// The umbrella once more, in a second translation unit of every test program: a function that is neither inline nor a
// template is then defined twice, and the program does not link.
#include <kvsift/kvsift.hpp>
