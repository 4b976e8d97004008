#include "cpu_allocator.h"

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "failure.h"

namespace sam_mm {
namespace {

// Blocks from here on are kept: with smaller ones the heap of the process does well enough.
constexpr size_t kKeepFrom = size_t{1} << 20;
// A kept block serves a request that leaves at most this part of it unused.
constexpr size_t kSlackDivisor = 8;
// Size of a large page, and the block from which on they are asked for.
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kHugeFrom = 2 * kHugePage;

thread_local int scope_depth = 0;

// Asks for large pages, which save page faults and misses of the address cache. A hint: failure changes nothing.
void advise_huge_pages(void *data, size_t bytes) noexcept {
#if defined(__linux__)
  if (bytes < kHugeFrom) return;
  const auto address = reinterpret_cast<uintptr_t>(data);
  const uintptr_t start = (address + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t end = (address + bytes) / kHugePage * kHugePage;
  madvise(reinterpret_cast<void *>(start), end - start, MADV_HUGEPAGE);
#else
  (void)data;
  (void)bytes;
#endif
}

}  // namespace

int64_t Watermark::add(int64_t bytes) noexcept {
  const int64_t now = now_.fetch_add(bytes) + bytes;
  int64_t peak = peak_.load();
  while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
  }
  return now;
}

uint64_t Watermark::now() const noexcept {
  const int64_t bytes = now_.load();
  return bytes > 0 ? static_cast<uint64_t>(bytes) : 0;
}

uint64_t Watermark::peak() const noexcept {
  const int64_t bytes = peak_.load();
  return bytes > 0 ? static_cast<uint64_t>(bytes) : 0;
}

CpuAllocator &CpuAllocator::instance() {
  static CpuAllocator *installed = [] {
    auto *allocator = new CpuAllocator(c10::GetCPUAllocator());
    // The highest priority: one that is registered later does not replace it unnoticed.
    c10::SetCPUAllocator(allocator, UINT8_MAX);
    return allocator;
  }();
  return *installed;
}

c10::DataPtr CpuAllocator::allocate(size_t bytes) {
  if (scope_depth == 0 || bytes == 0) return beneath_->allocate(bytes);
  Block block = take_kept(bytes);
  if (!block.memory) block = obtain(bytes);
  void *data = block.memory.get();
  const auto size = static_cast<int64_t>(block.bytes);
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    live_.emplace(data, std::move(block));
  } catch (...) {
    reserved_.add(-size);
    throw;
  }
  allocated_.add(size);
  return {data, data, &CpuAllocator::release, c10::Device(c10::DeviceType::CPU)};
}

void CpuAllocator::copy_data(void *dest, const void *src, std::size_t count) const {
  beneath_->copy_data(dest, src, count);
}

CpuAllocator::Block CpuAllocator::take_kept(size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.lower_bound(bytes);
  if (found == kept_.end() || found->first - bytes > bytes / kSlackDivisor) return {};
  Block block = std::move(found->second);
  kept_.erase(found);
  return block;
}

CpuAllocator::Block CpuAllocator::obtain(size_t bytes) {
  reserve(bytes);
  for (int attempt = 0; attempt < 2; attempt++) {
    try {
      Block block{beneath_->allocate(bytes), bytes};
      advise_huge_pages(block.memory.get(), bytes);
      return block;
    } catch (const std::exception &) {
      // The allocator beneath throws a plain `c10::Error`, whose type does not tell what happened; it has no other
      // reason to fail.
      if (release_kept() == 0) break;
    }
  }
  reserved_.add(-static_cast<int64_t>(bytes));
  note_failed_allocation(bytes, kCpuDevice);
  TORCH_CHECK_WITH(OutOfMemoryError, false, "CPU out of memory. Tried to allocate ", bytes,
                   " bytes, which the system does not have.");
}

void CpuAllocator::reserve(size_t bytes) {
  const auto asked = static_cast<int64_t>(bytes);
  const auto limit = static_cast<int64_t>(limit_.load());
  std::unique_lock<std::mutex> lock(mutex_);
  const int64_t most = limit == 0 ? operation_peak_ : std::min(operation_peak_, limit);
  release_until(most - asked);
  const auto in_use = static_cast<int64_t>(reserved_.now());
  if (limit == 0 || in_use + asked <= limit) {
    operation_peak_ = std::max(operation_peak_, reserved_.add(asked));
    return;
  }
  lock.unlock();
  note_failed_allocation(bytes, kCpuDevice, static_cast<uint64_t>(std::max(limit - in_use, int64_t{0})));
  TORCH_CHECK_WITH(OutOfMemoryError, false, "CPU out of memory. Tried to allocate ", bytes, " bytes with ", in_use,
                   " bytes in use and a limit of ", limit, " bytes.");
}

void CpuAllocator::release_until(int64_t reserved) {
  while (!kept_.empty()) {
    const int64_t excess = static_cast<int64_t>(reserved_.now()) - reserved;
    if (excess <= 0) return;
    // The smallest block that is enough, or the largest there is.
    auto chosen = kept_.lower_bound(static_cast<size_t>(excess));
    if (chosen == kept_.end()) --chosen;
    reserved_.add(-static_cast<int64_t>(chosen->first));
    kept_.erase(chosen);
  }
}

void CpuAllocator::release(void *data) { instance().take_back(data); }

void CpuAllocator::take_back(void *data) noexcept {
  Block block;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = live_.find(data);
    if (found != live_.end()) {
      block = std::move(found->second);
      live_.erase(found);
      allocated_.add(-static_cast<int64_t>(block.bytes));
      if (keep(block)) return;
      reserved_.add(-static_cast<int64_t>(block.bytes));
    }
  }
  // Handed out by the allocator beneath, to somebody who only kept the address.
  if (!block.memory && data) beneath_->raw_deallocate(data);
}

bool CpuAllocator::keep(Block &block) noexcept {
  if (block.bytes < kKeepFrom || scopes_ == 0) return false;
  try {
    kept_.emplace(block.bytes, std::move(block));
    return true;
  } catch (const std::exception &) {
    return false;  // no memory for the entry: the block is freed instead
  }
}

void CpuAllocator::enter_scope() noexcept {
  ++scope_depth;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (scopes_++ == 0) operation_peak_ = static_cast<int64_t>(reserved_.now());
}

void CpuAllocator::leave_scope() noexcept {
  --scope_depth;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--scopes_ == 0) release_until(0);
}

uint64_t CpuAllocator::release_kept() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t before = reserved_.now();
  release_until(0);
  return before - reserved_.now();
}

}  // namespace sam_mm
