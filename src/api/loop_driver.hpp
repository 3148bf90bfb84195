#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <redismutex/executor.hpp>
#include <utility>
#include <vector>

#include "net/fork.hpp"
#include "net/link.hpp"
#include "net/loop_watch.hpp"
#include "route/background.hpp"

namespace redismutex::api {

/// The event loop that watches the sockets of a Connection itself, as Asio's can, as long as operations that complete there are under way. In one turn it
/// reads, makes a round of the Background, and runs what has completed by that: no thread is woken. If operations of several loops are under
/// way it is the first one's, and the others are posted to. Thread-safe.
class LoopDriver {
 public:
  /// `background` must outlive it.
  explicit LoopDriver(route::Background& background) noexcept : background_{background} {}

  /// An operation that is under way. In a child of fork() it is the parent's.
  class Use {
   public:
    Use() noexcept = default;
    explicit Use(LoopDriver* driver) noexcept : driver_{driver} {}
    Use(Use&& other) noexcept : driver_{std::exchange(other.driver_, nullptr)} {}
    Use& operator=(Use&& other) noexcept {
      std::swap(driver_, other.driver_);
      return *this;
    }
    ~Use() { end(); }

    void end() noexcept {
      if (driver_ != nullptr) std::exchange(driver_, nullptr)->end_use();
    }

   private:
    LoopDriver* driver_ = nullptr;
  };

  /// `poster`: where the operation completes; null: in no loop. `owner`: of what this belongs to. Throws std::bad_alloc.
  Use use(const std::shared_ptr<detail::Poster>& poster, const std::shared_ptr<void>& owner);

  /// Has that link read by the loop, too. Throws std::bad_alloc.
  void add(const std::shared_ptr<net::Link>& link);

 private:
  class Watch;
  class Reading;

  void appoint(const std::shared_ptr<detail::Poster>& poster, const std::shared_ptr<void>& owner);
  std::unique_ptr<net::LoopWatch> watch(const std::shared_ptr<net::Link>& link,
                                        const std::shared_ptr<detail::Poster>& poster);
  void end_use() noexcept;

  route::Background& background_;
  const std::uint64_t generation_ = net::fork_generation();
  std::atomic<int> operations_{0};  // under way, of the loop; changed with the lock held

  std::mutex mutex_;  // guards what follows; before the links'
  std::weak_ptr<detail::Poster> poster_;
  std::weak_ptr<void> owner_;
  std::vector<std::weak_ptr<net::Link>> links_;
};

}  // namespace redismutex::api
