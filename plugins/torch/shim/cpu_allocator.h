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
// A block is kept only where that costs nothing: before new memory is asked for that would raise the peak of the running
// operations, kept blocks are given back, so the peak is that of the live blocks.
//
// Only allocations on threads that are in a scope are touched. Whoever else uses the same libtorch in this process, such
// as Python's torch, goes straight to the allocator beneath: the block carries that one's own deleter, and its life takes
// no lock of ours. Any block may be freed inside or outside of a scope, on any thread, before or after the other kind:
//
// - a block of ours carries our deleter, which finds it by its address;
// - a block from beneath that somebody holds by its bare address comes back through our `raw_deleter`, is not found, and
//   goes on to the allocator beneath. An address cannot be of both: the block beneath one of ours is not free;
// - threads and the process may end with blocks alive: this object is never destroyed, the library never unloaded, and
//   what a thread has of it is a number.
//
// The priority is the highest so that nobody replaces this allocator between the two halves of a bare address's life.
// The price: an allocator that the host program registers later is not used. One that was registered before is beneath.
class CpuAllocator final : public c10::Allocator {
 public:
  // The one of the process, installed at first use and never taken away: blocks it handed out come back to it.
  static CpuAllocator &instance();

  c10::DataPtr allocate(size_t bytes) override;
  // oneDNN holds its packed weights by bare addresses, some of them older than this allocator. An allocator beneath that
  // does not give bare addresses out makes this one the same.
  c10::DeleterFnPtr raw_deleter() const override {
    return beneath_->raw_deleter() ? &CpuAllocator::release : nullptr;
  }
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
  // Counts new memory before it is asked for, and throws when it would cross the limit.
  void reserve(size_t bytes);
  void take_back(void *data) noexcept;
  // With the mutex held: gives kept blocks back until no more than that many bytes are reserved, or none is left.
  void release_until(int64_t reserved);
  // With the mutex held: takes a block that became free for reuse, if it is worth it.
  bool keep(Block &block) noexcept;
  static void release(void *data);

  c10::Allocator *beneath_;
  Watermark allocated_;
  Watermark reserved_;
  std::atomic<uint64_t> limit_{0};
  // Held for everything below, and while more is reserved.
  std::mutex mutex_;
  // Scopes of all threads, and the most that was reserved since the first of them began.
  int scopes_ = 0;
  int64_t operation_peak_ = 0;
  // Blocks by their address, and blocks that wait for the next request by their size.
  std::unordered_map<void *, Block> live_;
  std::multimap<size_t, Block> kept_;
};

}  // namespace sam_mm
