#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <redismutex/options.hpp>
#include <stop_token>

#include "engine/keeper.hpp"
#include "engine/lease.hpp"
#include "engine/local_queues.hpp"
#include "engine/session.hpp"
#include "engine/tenure.hpp"
#include "protocol/instant.hpp"

namespace redismutex::engine {

/// A lock that was taken: what a public Lock stands for.
///
/// valid_until(), confirmed_until() and loss() may be called by any thread; the rest belongs to one thread at a time.
class Hold {
 public:
  /// `ticket`: of the holder in its process's own line for the key; none if it went past it. `options`: fitted, see fit().
  /// After an exception (std::bad_alloc, std::system_error) the lease is the caller's still.
  Hold(std::shared_ptr<Session> session, std::unique_ptr<Lease>&& lease, std::optional<LocalQueues::Ticket> ticket,
       const Options& options);

  /// Does not release: see release().
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  const std::string& key() const noexcept { return tenure_->key().text(); }
  const std::string& value() const noexcept { return value_; }
  std::optional<std::uint64_t> fencing_token() const noexcept;

  /// Until when the lock can be relied on; a time long past for a lock that was lost, or that is the parent's.
  protocol::Instant valid_until() const;

  /// The same, but asks for the full lease first, once, if the lock still has the short one that it was handed over with.
  protocol::Instant confirmed_until() noexcept;

  /// Stops when the lock can no longer be relied on, unless it was released before.
  std::stop_token loss();

  /// To the log: nobody can be told of the loss, and why.
  void tell_unwatched(const std::exception& why) const noexcept;

  /// As the functions of Lock with the same names. Without argument: the lease that the lock was taken with.
  void release();
  void release_or_log();
  void extend();
  void extend(std::chrono::milliseconds expiry);

 private:
  void begin(const Options& options);
  void see_to_claim();
  static std::optional<protocol::Instant> extend_claim(Session& session, const std::weak_ptr<Tenure>& claimed,
                                                       std::chrono::milliseconds expiry);

  bool inherited() const noexcept;
  void give_back(std::unique_ptr<Lease> lease);

  const std::shared_ptr<Session> session_;
  const std::string value_;  // before the tenure, which has the lease from then on
  const std::shared_ptr<Tenure> tenure_;
  const int local_handoffs_;
  const std::chrono::milliseconds expiry_;
  const std::uint64_t fork_generation_;
  std::optional<Keeper::Ticket> confirmation_;
  std::atomic<bool> asked_{false};  // for the full lease, by its owner
};

}  // namespace redismutex::engine
