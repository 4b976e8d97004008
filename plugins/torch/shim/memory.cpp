// Allocators: what they hold, what they may hold, and the exact moment when they fail.
#include <c10/core/Allocator.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <atomic>
#include <memory>
#include <mutex>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "failure.h"

namespace sam_mm {
namespace {

constexpr int32_t kCpu = -1;

// How many scopes this thread is in.
thread_local int scope_depth = 0;

// Counts what is allocated on the CPU within scopes, and keeps it below a limit. Whoever else uses the same libtorch
// in this process goes straight to the allocator beneath and is not counted.
class CountingCpuAllocator final : public c10::Allocator {
 public:
  explicit CountingCpuAllocator(c10::Allocator *beneath) : beneath_(beneath) {}

  c10::DataPtr allocate(size_t bytes) override {
    if (scope_depth == 0 || bytes == 0) return beneath_->allocate(bytes);
    reserve(bytes);
    try {
      auto block = std::make_unique<Block>(Block{beneath_->allocate(bytes), bytes, this});
      void *data = block->memory.get();
      return {data, block.release(), &release, c10::Device(c10::DeviceType::CPU)};
    } catch (const std::exception &) {
      // The allocator beneath throws a plain `c10::Error`, whose type does not tell what happened.
      account(-static_cast<int64_t>(bytes));
      note_failed_allocation(bytes, kCpu);
      TORCH_CHECK_WITH(OutOfMemoryError, false, "CPU out of memory. Tried to allocate ", bytes,
                       " bytes and the system has no such memory left.");
    }
  }

  void copy_data(void *dest, const void *src, std::size_t count) const override {
    beneath_->copy_data(dest, src, count);
  }

  void account(int64_t bytes) noexcept {
    const int64_t now = allocated_.fetch_add(bytes) + bytes;
    int64_t peak = peak_.load();
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
  }

  uint64_t allocated() const noexcept { return clamp(allocated_.load()); }
  uint64_t peak() const noexcept { return clamp(peak_.load()); }
  void reset_peak() noexcept { peak_.store(allocated_.load()); }
  void set_limit(uint64_t bytes) noexcept { limit_.store(bytes); }

 private:
  struct Block {
    c10::DataPtr memory;
    size_t bytes;
    CountingCpuAllocator *owner;
  };

  static uint64_t clamp(int64_t bytes) { return bytes > 0 ? static_cast<uint64_t>(bytes) : 0; }

  static void release(void *context) {
    std::unique_ptr<Block> block(static_cast<Block *>(context));
    block->owner->account(-static_cast<int64_t>(block->bytes));
  }

  void reserve(size_t bytes) {
    account(static_cast<int64_t>(bytes));
    const uint64_t limit = limit_.load();
    const uint64_t now = allocated();
    if (limit == 0 || now <= limit) return;
    account(-static_cast<int64_t>(bytes));
    note_failed_allocation(bytes, kCpu);
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CPU out of memory. Tried to allocate ", bytes, " bytes with ",
                     now - bytes, " bytes in use and a limit of ", limit, " bytes.");
  }

  c10::Allocator *beneath_;
  std::atomic<int64_t> allocated_{0};
  std::atomic<int64_t> peak_{0};
  std::atomic<uint64_t> limit_{0};
};

// Installed at first use and never taken away: blocks it handed out come back to it.
CountingCpuAllocator &cpu_allocator() {
  static CountingCpuAllocator *installed = [] {
    auto *counting = new CountingCpuAllocator(c10::GetCPUAllocator());
    // The highest priority: an allocator that is registered later must not replace it silently.
    c10::SetCPUAllocator(counting, UINT8_MAX);
    return counting;
  }();
  return *installed;
}

// Told by the device allocators of every failure just before they throw, on the thread that asked.
class FailureReporter final : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void *, int64_t, size_t, size_t, c10::Device) override {}

  void reportOutOfMemory(int64_t bytes, size_t, size_t, c10::Device device) override {
    note_failed_allocation(static_cast<uint64_t>(bytes), device.is_cpu() ? kCpu : device.index());
  }

  // Memory profiling proper is left off: it costs a lock and a map entry for every CPU block.
  bool memoryProfilingEnabled() const override { return false; }
};

// One operation of the plugin on one thread: nothing is recorded for gradients, memory is counted, and failed
// allocations are noted.
struct Scope {
  c10::InferenceMode inference{true};
  c10::DebugInfoGuard reporter{c10::DebugInfoKind::PROFILER_STATE, std::make_shared<FailureReporter>()};

  Scope() {
    forget_failed_allocation();
    ++scope_depth;
  }
  ~Scope() { --scope_depth; }
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
  guarded(error, [&] {
    cpu_allocator();
    scope = new Scope();
  });
  return scope;
}

void sam_mm_torch_scope_leave(void *scope) {
  guarded(nullptr, [&] { delete static_cast<Scope *>(scope); });
}

void sam_mm_torch_cpu_account(int64_t bytes) {
  guarded(nullptr, [&] { cpu_allocator().account(bytes); });
}

void sam_mm_torch_cpu_set_limit(uint64_t bytes) {
  guarded(nullptr, [&] { cpu_allocator().set_limit(bytes); });
}

int32_t sam_mm_torch_memory_read(int32_t device, sam_mm_torch_memory *out, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    *out = {};
    if (device == kCpu) {
      out->allocated = out->reserved = cpu_allocator().allocated();
      out->peak_allocated = cpu_allocator().peak();
      return;
    }
    const auto index = static_cast<c10::DeviceIndex>(device);
    auto *allocator = cuda_allocator();
    const auto stats = allocator->getDeviceStats(index);
    out->allocated = bytes_of(stats.allocated_bytes, false);
    out->peak_allocated = bytes_of(stats.allocated_bytes, true);
    out->reserved = bytes_of(stats.reserved_bytes, false);
    const auto [free, total] = allocator->getMemoryInfo(index);
    out->device_free = free;
    out->device_total = total;
    out->has_device = 1;
  });
}

int32_t sam_mm_torch_memory_reset_peak(int32_t device, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    if (device == kCpu) {
      cpu_allocator().reset_peak();
    } else {
      cuda_allocator()->resetPeakStats(static_cast<c10::DeviceIndex>(device));
    }
  });
}

int32_t sam_mm_torch_memory_trim(int32_t device, uint64_t *freed, sam_mm_torch_error *error) {
  return guarded(error, [&] {
    *freed = 0;
    if (device == kCpu) {
#if defined(__GLIBC__)
      const auto before = mallinfo2();
      malloc_trim(0);
      const auto after = mallinfo2();
      *freed = before.arena > after.arena ? before.arena - after.arena : 0;
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
