#pragma once

namespace redismutex::route {

/// What sleeps until there is news for it: a thread, a coroutine, a simulated thread.
class Waker {
 public:
  /// There is news. May be called at any time, by any thread, with locks held: is quick, and takes no lock of the caller's. Once
  /// is as good as many times. What was changed before the call is seen by the one that wakes.
  virtual void wake() noexcept = 0;

  /// What is left to do of a wake-up. Uses nothing of the waker but, perhaps, its address.
  class Rest {
   public:
    using Finish = void (*)(const void* address) noexcept;
    Rest() = default;
    Rest(Finish run, const void* address) : finish_{run}, address_{address} {}
    void finish() const noexcept {
      if (finish_ != nullptr) finish_(address_);
    }

   private:
    Finish finish_ = nullptr;
    const void* address_ = nullptr;
  };

  /// The same in two halves, for a caller with a lock that the woken one is going to take: the first half with the lock held, the
  /// second one when it is free, and when the waker may be gone.
  virtual Rest begin_wake() noexcept {
    wake();
    return {};
  }

 protected:
  ~Waker() = default;
};

}  // namespace redismutex::route
