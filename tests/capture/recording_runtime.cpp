#include "recording_runtime.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

namespace capture {

recording& recorded() {
  static recording all;
  return all;
}

namespace {

std::map<void const*, std::string>& kernels() {
  static std::map<void const*, std::string> names;
  return names;
}
using graph_work = std::vector<std::function<void()>>;

void note(asked what, cudaStream_t stream, std::size_t bytes = 0) { recorded().calls.push_back({what, stream, {}, 0, 0, bytes}); }

}  // namespace
}  // namespace capture

using namespace capture;

extern "C" {

// What nvcc's own start-up code of an object calls.
void** __cudaRegisterFatBinary(void*) {
  static void* handle = nullptr;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }
void __cudaRegisterFunction(void**, char const* stub, char*, char const* name, int, uint3*, uint3*, dim3*, dim3*, int*) {
  kernels()[stub] = name;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, void const* stub) {
  *kernel = const_cast<cudaKernel_t>(static_cast<cudaKernel_t>(const_cast<void*>(stub)));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, std::size_t, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t __cudaPopCallConfiguration(dim3*, dim3*, std::size_t*, void*) { return cudaErrorNotSupported; }

cudaError_t cudaLaunchKernel(void const* stub, dim3 grid, dim3 block, void**, std::size_t, cudaStream_t stream) {
  recording& all = recorded();
  cudaError_t const status = all.next_launch;
  all.next_launch = cudaSuccess;
  if (status != cudaSuccess) return all.last = status;
  if (kernels().count(stub) == 0) return all.last = cudaErrorInvalidDeviceFunction;
  all.calls.push_back({asked::launch, stream, kernels()[stub], grid.x * grid.y * grid.z, block.x * block.y * block.z, 0});
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(void const* stub, cudaFuncAttribute, int) {
  return kernels().count(stub) != 0 ? cudaSuccess : recorded().last = cudaErrorInvalidDeviceFunction;
}
cudaError_t cudaMallocAsync(void** to, std::size_t bytes, cudaStream_t stream) {
  recording& all = recorded();
  if (bytes > all.refused_above) return all.last = cudaErrorMemoryAllocation;
  note(asked::allocation, stream, bytes);
  *to = std::calloc(bytes, 1);
  ++all.in_use;
  return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  note(asked::release, stream);
  std::free(pointer);
  --recorded().in_use;
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, void const* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  note(asked::copy, stream, bytes);
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  note(asked::wait, stream);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  note(asked::begin_capture, stream);
  recorded().capturing = true;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  note(asked::end_capture, stream);
  recorded().capturing = false;
  *graph = reinterpret_cast<cudaGraph_t>(new graph_work(std::exchange(recorded().captured, {})));
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  note(asked::instantiate, nullptr);
  *executable = reinterpret_cast<cudaGraphExec_t>(new graph_work(*reinterpret_cast<graph_work*>(graph)));
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  note(asked::graph_launch, stream);
  for (auto const& task : *reinterpret_cast<graph_work*>(executable)) task();
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  *count = reinterpret_cast<graph_work*>(graph)->size();
  if (nodes != nullptr) std::memset(nodes, 0, *count * sizeof *nodes);
  return cudaSuccess;
}
cudaError_t cudaGraphNodeGetType(cudaGraphNode_t, cudaGraphNodeType* type) {
  *type = cudaGraphNodeTypeKernel;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<graph_work*>(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete reinterpret_cast<graph_work*>(executable);
  return cudaSuccess;
}
// Events are the clock's: what a graph or stream was given has run when it comes back.
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = reinterpret_cast<cudaEvent_t>(new std::chrono::steady_clock::time_point());
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  *reinterpret_cast<std::chrono::steady_clock::time_point*>(event) = std::chrono::steady_clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  using moment = std::chrono::steady_clock::time_point;
  *milliseconds = std::chrono::duration<float, std::milli>(*reinterpret_cast<moment*>(end) - *reinterpret_cast<moment*>(begin)).count();
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete reinterpret_cast<std::chrono::steady_clock::time_point*>(event);
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(0x80);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGetLastError() {
  cudaError_t const status = recorded().last;
  recorded().last = cudaSuccess;
  return status;
}
char const* cudaGetErrorString(cudaError_t) { return "as recorded"; }

}  // extern "C"
