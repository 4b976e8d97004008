// Process-wide switches of libtorch, and the loading of its CUDA half.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/version.h>

#include <string>

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

#include "failure.h"

#if defined(__ELF__)
// Crates beneath the plugin mark functions for export, which rustc passes on to a cdylib. Whatever refers to a symbol as
// hidden makes it so for the whole library. Weak, because a version of the crates may not have them.
#define SAM_MM_HIDE(name) extern "C" __attribute__((visibility("hidden"), weak)) void name();
#define SAM_MM_HIDDEN(X)                                                                                       \
  X(bz_internal_error) X(tch_read_stream_destructor) X(tch_read_stream_read) X(tch_read_stream_seek_end)       \
  X(tch_read_stream_seek_start) X(tch_read_stream_stream_position) X(tch_write_stream_destructor)              \
  X(tch_write_stream_write)
SAM_MM_HIDDEN(SAM_MM_HIDE)
#define SAM_MM_ADDRESS(name) &name,
__attribute__((used)) static void (*const hidden[])() = {SAM_MM_HIDDEN(SAM_MM_ADDRESS)};
#endif

namespace {

using sam_mm::guarded;

#if !defined(_WIN32)
// The folder that the loaded libtorch_cpu lies in, with a slash at its end; empty when it cannot be told.
std::string libtorch_folder() {
  Dl_info info;
  auto *symbol = reinterpret_cast<void *>(&at::globalContext);
  if (dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return {};
  const std::string path = info.dli_fname;
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}
#endif

}  // namespace

extern "C" {

const char *sam_mm_torch_version(void) { return TORCH_VERSION; }

int32_t sam_mm_torch_set_num_threads(int32_t threads, sam_mm_torch_error *error) {
  return guarded(error, [&] { at::set_num_threads(threads); });
}

int32_t sam_mm_torch_num_threads(void) {
  int32_t threads = 0;
  guarded(nullptr, [&] { threads = at::get_num_threads(); });
  return threads;
}

int32_t sam_mm_torch_allow_tf32(int32_t allow, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    at::globalContext().setAllowTF32CuBLAS(allow != 0);
    at::globalContext().setAllowTF32CuDNN(allow != 0);
  });
}

int32_t sam_mm_torch_load_cuda(sam_mm_torch_error *error) {
  return guarded(error, [&] {
#if !defined(_WIN32)
    if (at::globalContext().hasCUDA()) return;
    const std::string path = libtorch_folder() + "libtorch_cuda.so";
    // Never closed: it registers itself with libtorch for the life of the process.
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
      const char *why = dlerror();
      TORCH_CHECK(false, "libtorch has no CUDA here: ", why ? why : path);
    }
#endif
  });
}

int32_t sam_mm_torch_cuda_device_count(int32_t *count, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    const auto *cuda = c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA);
    *count = cuda->deviceCount();
  });
}

}  // extern "C"
