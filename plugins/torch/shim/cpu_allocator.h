// The allocator of CPU tensors within the operations of the plugin.
#pragma once

#include <c10/core/Allocator.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>

namespace sam_mm {

// A figure in bytes and the largest it has been.
class Watermark {
 public:
  // Adds, and returns what it is now.
  int64_t add(int64_t bytes) noexcept;
  uint64_t now() const noexcept;
  uint64_t peak() const noexcept;
  void reset_peak() noexcept { peak_.store(now_.load()); }

 private:
  std::atomic<int64_t> now_{0};
  std::atomic<int64_t> peak_{0};
};

// Counts CPU memory, holds it to a limit, and keeps large blocks for reuse while an operation runs: fresh pages cost as
// much as a pass over them, and the layers of a transformer ask for the same sizes again and again.
//
// Only allocations on threads that are in a scope are touched. Whoever else uses the same libtorch in this process goes
// straight to the allocator beneath.
class CpuAllocator final : public c10::Allocator {
 public:
  // The one of the process, installed at first use and never taken away: blocks it handed out come back to it.
  static CpuAllocator &instance();

  c10::DataPtr allocate(size_t bytes) override;
  // oneDNN holds its packed weights by bare addresses, some of them older than this allocator.
  c10::DeleterFnPtr raw_deleter() const override { return &CpuAllocator::release; }
  void copy_data(void *dest, const void *src, std::size_t count) const override;

  // The current thread enters or leaves a scope. When the last scope of the process ends, kept blocks are given back.
  void enter_scope() noexcept;
  void leave_scope() noexcept;

  // Gives kept blocks back, and returns their bytes.
  uint64_t release_kept() noexcept;

  // Bytes in live blocks.
  Watermark &allocated() noexcept { return allocated_; }
  // Bytes in live and in kept blocks.
  Watermark &reserved() noexcept { return reserved_; }
  // Most bytes that may be reserved; 0: no limit.
  void set_limit(uint64_t bytes) noexcept { limit_.store(bytes); }

 private:
  // Memory of at least the size that was asked for.
  struct Block {
    c10::DataPtr memory;
    size_t bytes;
  };

  explicit CpuAllocator(c10::Allocator *beneath) : beneath_(beneath) {}

  Block take_kept(size_t bytes);
  Block obtain(size_t bytes);
  void reserve(size_t bytes);
  void take_back(void *data) noexcept;
  static void release(void *data);

  c10::Allocator *beneath_;
  Watermark allocated_;
  Watermark reserved_;
  std::atomic<uint64_t> limit_{0};
  std::atomic<int> scopes_{0};
  std::mutex mutex_;
  // Blocks by their address, and blocks that wait for the next request by their size.
  std::unordered_map<void *, Block> live_;
  std::multimap<size_t, Block> kept_;
};

}  // namespace sam_mm
