// Allocators: what they hold, what they may hold, and the exact moment when they fail.
#include <c10/core/Allocator.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <memory>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#define SAM_MM_POSIX_SIGNALS 1
#endif

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "cpu_allocator.h"
#include "failure.h"

namespace sam_mm {
namespace {

// Told by the device allocators of every failure just before they throw, on the thread that asked.
class FailureReporter final : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void *, int64_t, size_t, size_t, c10::Device) override {}

  void reportOutOfMemory(int64_t bytes, size_t, size_t, c10::Device device) override {
    note_failed_allocation(static_cast<uint64_t>(bytes), device.is_cpu() ? kCpuDevice : device.index());
  }

  // Memory profiling proper is left off: it costs a lock and a map entry for every CPU block.
  bool memoryProfilingEnabled() const override { return false; }
};

// Keeps signals away from the thread until the operation ends. Kernels that oneDNN compiles at run time use the stack pointer
// as an ordinary register, so that a handler that runs on the thread's own stack in the middle of one writes anywhere: seen with
// Mono, whose garbage collector stops threads by a signal. Threads that an operation starts inherit the mask. What tells of a
// fault of the thread itself is let through.
class SignalsHeld {
 public:
#if defined(SAM_MM_POSIX_SIGNALS)
  SignalsHeld() {
    sigset_t held;
    sigfillset(&held);
    for (int fault : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP}) sigdelset(&held, fault);
    changed_ = pthread_sigmask(SIG_BLOCK, &held, &before_) == 0;
  }
  ~SignalsHeld() {
    if (changed_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t before_;
  bool changed_;
#endif
};

// One operation of the plugin on one thread: no signal is handled, nothing is recorded for gradients, memory is counted, and failed
// allocations are noted.
struct Scope {
  // First, to be undone last.
  SignalsHeld signals;
  c10::InferenceMode inference{true};
  c10::DebugInfoGuard reporter{c10::DebugInfoKind::PROFILER_STATE, std::make_shared<FailureReporter>()};

  Scope() {
    forget_failed_allocation();
    CpuAllocator::instance().enter_scope();
  }
  ~Scope() { CpuAllocator::instance().leave_scope(); }
};

c10::DeviceAllocator *cuda_allocator() { return c10::getDeviceAllocator(c10::DeviceType::CUDA); }

uint64_t bytes_of(const c10::CachingAllocator::StatArray &stat, bool peak) {
  const auto &all = stat[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
  return static_cast<uint64_t>(peak ? all.peak : all.current);
}

}  // namespace
}  // namespace sam_mm

using namespace sam_mm;

extern "C" {

void *sam_mm_torch_scope_enter(sam_mm_torch_error *error) {
  void *scope = nullptr;
  guarded(error, [&] { scope = new Scope(); });
  return scope;
}

void sam_mm_torch_scope_leave(void *scope) {
  guarded(nullptr, [&] { delete static_cast<Scope *>(scope); });
}

void sam_mm_torch_cpu_set_limit(uint64_t bytes) {
  guarded(nullptr, [&] { CpuAllocator::instance().set_limit(bytes); });
}

int32_t sam_mm_torch_memory_read(int32_t device, sam_mm_torch_memory *out, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    *out = {};
    if (device == kCpuDevice) {
      auto &cpu = CpuAllocator::instance();
      out->allocated = cpu.allocated().now();
      out->peak_allocated = cpu.allocated().peak();
      out->reserved = cpu.reserved().now();
      out->peak_reserved = cpu.reserved().peak();
      return;
    }
    const auto index = static_cast<c10::DeviceIndex>(device);
    auto *allocator = cuda_allocator();
    const auto stats = allocator->getDeviceStats(index);
    out->allocated = bytes_of(stats.allocated_bytes, false);
    out->peak_allocated = bytes_of(stats.allocated_bytes, true);
    out->reserved = bytes_of(stats.reserved_bytes, false);
    out->peak_reserved = bytes_of(stats.reserved_bytes, true);
    const auto [free, total] = allocator->getMemoryInfo(index);
    out->device_free = free;
    out->device_total = total;
    out->has_device = 1;
  });
}

int32_t sam_mm_torch_memory_reset_peak(int32_t device, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    if (device == kCpuDevice) {
      CpuAllocator::instance().allocated().reset_peak();
      CpuAllocator::instance().reserved().reset_peak();
    } else {
      cuda_allocator()->resetPeakStats(static_cast<c10::DeviceIndex>(device));
    }
  });
}

int32_t sam_mm_torch_memory_trim(int32_t device, uint64_t *freed, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    if (device == kCpuDevice) {
      *freed = CpuAllocator::instance().release_kept();
#if defined(__GLIBC__)
      malloc_trim(0);
#endif
      return;
    }
    const auto index = static_cast<c10::DeviceIndex>(device);
    auto *allocator = cuda_allocator();
    const uint64_t before = bytes_of(allocator->getDeviceStats(index).reserved_bytes, false);
    allocator->emptyCache();
    const uint64_t after = bytes_of(allocator->getDeviceStats(index).reserved_bytes, false);
    *freed = before > after ? before - after : 0;
  });
}

int32_t sam_mm_torch_allocator_settings(const char *settings, sam_mm_torch_error *error) {
  return guarded(error, [&] { c10::CachingAllocator::setAllocatorSettings(settings); });
}

}  // extern "C"
