#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace redismutex::net {

/// How often this process and its ancestors, as far as they used this library, have forked. Who remembers the number can
/// tell whether it has become a child since. Costs one load.
std::uint64_t fork_generation() noexcept;

/// Leaves a value in memory for ever: what belongs to the parent's threads, and may be locked by one that does not exist
/// here, must not be destroyed.
template <class Value>
void leave_alone(Value value) {
  static_cast<void>(new Value{std::move(value)});  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): see above
}

/// One of its kind in each process: a child of fork() gets a new one, and the parent's is left in memory untouched, because a
/// thread that does not exist there may have been in the midst of it. Lock-free. Destroys nothing by itself.
template <class Value>
class OnePerProcess {
 public:
  /// Makes one if this process has none yet. Several threads may make one at the same time; the first has its way. Throws
  /// std::bad_alloc, and what the constructor throws.
  Value& get() {
    return get([] { return Value{}; });
  }
  template <class Make>
  Value& get(Make make) {
    for (;;) {
      Made* present = made_.load(std::memory_order_acquire);
      if (present != nullptr && present->generation == fork_generation()) return present->value;
      auto fresh = std::unique_ptr<Made>{new Made{present, fork_generation(), make()}};
      if (made_.compare_exchange_strong(present, fresh.get())) return fresh.release()->value;
    }
  }

  /// Destroys all of them, the parent's too. To be called when nobody uses this any more.
  void clear() noexcept {
    for (Made* next = made_.exchange(nullptr); next != nullptr;) {
      const std::unique_ptr<Made> destroyed{next};
      next = destroyed->before;
    }
  }

 private:
  struct Made {
    Made* before;  // the parent's; or a leak detector would miss it
    std::uint64_t generation;
    Value value;
  };

  std::atomic<Made*> made_{nullptr};
};

/// Has `open` open a descriptor (-1: it could not), of which no child of fork() gets a copy: it is closed within fork(), also
/// in one that another thread begins at this moment. To be closed by close_kept(), in the process that opened it.
int keep_from_children(const std::function<int()>& open);
void close_kept(int fd) noexcept;

/// While a thread has one, fork() waits: for calls into a library whose own locks a child would find locked for ever. Not to be
/// kept while waiting for anything; may be nested.
class HoldsOffFork {
 public:
  HoldsOffFork() noexcept;
  ~HoldsOffFork();
  HoldsOffFork(const HoldsOffFork&) = delete;
  HoldsOffFork& operator=(const HoldsOffFork&) = delete;
};

/// While a thread has one, fork() waits for it, but for 100 ms at the most: for calls that take their time, such as the look-up
/// of a name. A child that was forked amid one may find the C library's locks taken: what it calls must have a time limit.
class DelaysFork {
 public:
  DelaysFork() noexcept;
  ~DelaysFork();
  DelaysFork(const DelaysFork&) = delete;
  DelaysFork& operator=(const DelaysFork&) = delete;
};

}  // namespace redismutex::net
