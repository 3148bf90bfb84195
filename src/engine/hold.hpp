#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>

#include "engine/lease.hpp"
#include "engine/local_queues.hpp"
#include "engine/session.hpp"
#include "protocol/instant.hpp"

namespace redismutex::engine {

/// A lock that was taken: what a public Lock stands for.
///
/// valid_until() and loss() may be called by any thread; the rest belongs to one thread at a time.
class Hold {
 public:
  /// `ticket`: of the holder in its process's own line for the key; none if it went past it.
  Hold(std::shared_ptr<Session> session, std::unique_ptr<Lease> lease, std::optional<LocalQueues::Ticket> ticket,
       int local_handoffs);

  /// Lets the next thread of this process go to the server; does not release: see release().
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  const std::string& key() const noexcept { return state_->lease->key().text(); }
  const std::string& value() const noexcept { return state_->lease->id().text(); }

  /// Until when the lock can be relied on; a time long past for a lock that was lost, or that is the parent's.
  protocol::Instant valid_until() const;

  /// Stops when the lock can no longer be relied on, unless it was released before.
  std::stop_token loss() const;

  /// As the functions of Lock with the same names. Without argument: the lease that the lock was taken with.
  void release();
  void extend();
  void extend(std::chrono::milliseconds expiry);

 private:
  /// What the timer that tells of the loss looks at, too.
  struct State {
    std::mutex mutex;  // guards the rest
    std::unique_ptr<Lease> lease;
    std::stop_source lost{std::nostopstate};
  };

  static std::optional<protocol::Instant> look_for_loss(const std::weak_ptr<State>& watched);
  static std::optional<protocol::Instant> see_to_claim(Session& session, const std::weak_ptr<State>& claimed);

  bool inherited() const noexcept;
  void watch() const;
  void report_loss() const;

  const std::shared_ptr<Session> session_;
  const std::shared_ptr<State> state_;
  const std::optional<LocalQueues::Ticket> ticket_;
  const int local_handoffs_;
  const std::chrono::milliseconds expiry_;
  const std::uint64_t fork_generation_;
  mutable std::optional<Keeper::Ticket> timer_;  // guarded by State::mutex
  std::optional<Keeper::Ticket> errand_;
};

}  // namespace redismutex::engine
