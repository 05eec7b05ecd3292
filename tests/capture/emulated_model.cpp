// The transformer on a stream, over the stand-in of cuda_executor.
#include <reference_model/cuda/cuda_transformer.cu>
