// Turns exceptions into `sam_mm_torch_error`.
#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <optional>

#include "shim.h"

namespace sam_mm {

// The CPU among the ordinals of CUDA devices.
constexpr int32_t kCpuDevice = -1;

// Remembers on this thread that an allocation of `requested` bytes failed on a device, and what was free, if known
// already.
void note_failed_allocation(uint64_t requested, int32_t device, std::optional<uint64_t> free = {}) noexcept;

// Forgets what this thread remembers of failed allocations.
void forget_failed_allocation() noexcept;

// Fills `error` from the exception that is being handled. Called in a catch block only.
void describe_current_exception(sam_mm_torch_error *error) noexcept;

// Runs `body` and returns 0, or says in `error` what it threw and returns the kind.
template <class Body>
int32_t guarded(sam_mm_torch_error *error, Body &&body) noexcept {
  try {
    body();
    return 0;
  } catch (...) {
    sam_mm_torch_error local;
    sam_mm_torch_error *target = error ? error : &local;
    describe_current_exception(target);
    return target->kind;
  }
}

}  // namespace sam_mm
