#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>

#include "engine/session.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::engine {

/// A lock that was taken: what a public Lock stands for.
///
/// until() and loss() may be called by any thread; the rest belongs to one thread at a time.
class Hold {
 public:
  Hold(std::shared_ptr<Session> session, protocol::Key key, protocol::OwnerId id, std::chrono::milliseconds expiry,
       protocol::Instant valid_until);

  /// Does not release: see release().
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  const protocol::Key& key() const noexcept { return key_; }
  const protocol::OwnerId& id() const noexcept { return id_; }
  std::chrono::milliseconds expiry() const noexcept { return expiry_; }

  /// Until when the lock can be relied on; a time long past for a lock that was lost, or that is the parent's.
  protocol::Instant valid_until() const noexcept;

  /// Stops when the lock can no longer be relied on, unless it was released before.
  std::stop_token loss() const;

  /// Each throws as the functions of Lock with the same name do.
  void release();
  void extend(std::chrono::milliseconds expiry);

 private:
  /// What tells of the loss; made when somebody asks for it, shared with the timer.
  struct Watch {
    std::atomic<protocol::Instant> valid_until;
    std::stop_source lost;
    Keeper::Ticket timer = 0;
  };

  bool inherited() const noexcept;
  void set_valid_until(protocol::Instant until);
  void set_timer() const;
  void mark_lost();
  void stop_watching() noexcept;

  const std::shared_ptr<Session> session_;
  const protocol::Key key_;
  const protocol::OwnerId id_;
  const std::chrono::milliseconds expiry_;
  const std::uint64_t fork_generation_;
  std::atomic<protocol::Instant> valid_until_;

  mutable std::mutex mutex_;  // guards watch_
  mutable std::shared_ptr<Watch> watch_;
};

}  // namespace redismutex::engine
