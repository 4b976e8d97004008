#include "failure.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <cstdio>

namespace sam_mm {
namespace {

struct FailedAllocation {
  uint64_t requested;
  int32_t device;
  std::optional<uint64_t> free;
};

thread_local std::optional<FailedAllocation> failed_allocation;

// `cudaErrorMemoryAllocation`.
constexpr int32_t kCudaMemoryAllocation = 2;

// Errors after which CUDA refuses all further work in the process (CUDA runtime API, `cudaError_t`).
bool is_sticky(int32_t cuda_error) {
  switch (cuda_error) {
    case 214:  // uncorrectable ECC error
    case 220:  // uncorrectable NVLink error
    case 700:  // illegal address
    case 702:  // launch timeout
    case 710:  // device-side assert
    case 714:  // hardware stack error
    case 715:  // illegal instruction
    case 716:  // misaligned address
    case 717:  // invalid address space
    case 718:  // invalid program counter
    case 719:  // launch failure
      return true;
    default:
      return false;
  }
}

void fill(sam_mm_torch_error *error, int32_t kind, const char *message) noexcept {
  error->kind = kind;
  error->has_requested = 0;
  error->requested_bytes = 0;
  if (kind == SAM_MM_TORCH_OUT_OF_MEMORY && failed_allocation) {
    error->has_requested = 1;
    error->requested_bytes = failed_allocation->requested;
  }
  std::snprintf(error->message, sizeof error->message, "%s", message);
}

}  // namespace

void note_failed_allocation(uint64_t requested, int32_t device, std::optional<uint64_t> free) noexcept {
  failed_allocation = FailedAllocation{requested, device, free};
}

void forget_failed_allocation() noexcept { failed_allocation.reset(); }

void describe_current_exception(sam_mm_torch_error *error) noexcept {
  try {
    throw;
  } catch (const c10::OutOfMemoryError &e) {
    fill(error, SAM_MM_TORCH_OUT_OF_MEMORY, e.what_without_backtrace());
  } catch (const c10::AcceleratorError &e) {
    const int32_t code = e.get_error_code();
    const int32_t kind = code == kCudaMemoryAllocation ? SAM_MM_TORCH_OUT_OF_MEMORY
                         : is_sticky(code)             ? SAM_MM_TORCH_DEVICE_LOST
                                                       : SAM_MM_TORCH_OTHER;
    fill(error, kind, e.what_without_backtrace());
  } catch (const c10::Error &e) {
    fill(error, SAM_MM_TORCH_OTHER, e.what_without_backtrace());
  } catch (const std::bad_alloc &) {
    fill(error, SAM_MM_TORCH_OUT_OF_MEMORY, "the host has no memory left for libtorch");
  } catch (const std::exception &e) {
    fill(error, SAM_MM_TORCH_OTHER, e.what());
  } catch (...) {
    fill(error, SAM_MM_TORCH_OTHER, "libtorch threw something that is no std::exception");
  }
}

}  // namespace sam_mm

extern "C" int32_t sam_mm_torch_take_failed_allocation(sam_mm_torch_failed_allocation *out) {
  const auto failed = sam_mm::failed_allocation;
  sam_mm::forget_failed_allocation();
  if (!failed) return 0;
  *out = {failed->requested, failed->free.value_or(0), failed->free.has_value()};
  if (failed->free) return 1;
  sam_mm_torch_memory memory;
  if (sam_mm_torch_memory_read(failed->device, &memory, nullptr) == 0 && memory.has_device) {
    out->free_bytes = memory.device_free;
    out->has_free = 1;
  }
  return 1;
}
