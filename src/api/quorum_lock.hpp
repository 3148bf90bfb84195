#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <redismutex/observer.hpp>
#include <redismutex/options.hpp>
#include <stop_token>
#include <string>

#include "api/quorum.hpp"
#include "engine/giving_back.hpp"
#include "engine/quorum/quorum_extending.hpp"
#include "engine/quorum/quorum_lease.hpp"

namespace redismutex::api {

/// What a Lock does where its lock is at a quorum. The functions are Lock's. What they tell may let go of the Lock: so whoever calls them has
/// a share in this.
class QuorumLock {
 public:
  /// Made before the lock is taken, so that nothing can fail afterwards.
  QuorumLock(std::shared_ptr<Quorum> quorum, std::shared_ptr<const Options> options) noexcept
      : quorum_{std::move(quorum)}, options_{std::move(options)} {}

  /// It is taken. Once, before all that follows.
  void hold(std::shared_ptr<engine::QuorumLease> lease) noexcept { lease_ = std::move(lease); }

  const engine::QuorumLease& lease() const noexcept { return *lease_; }
  const std::shared_ptr<engine::QuorumLease>& lease_owner() const noexcept { return lease_; }

  /// Of the first of its servers.
  const std::shared_ptr<Runtime>& runtime() const noexcept { return quorum_->first_owner(); }
  const std::string& server_name() const noexcept { return quorum_->server_name(); }
  bool inherited() const noexcept { return quorum_->inherited(); }
  std::chrono::milliseconds expiry() const noexcept { return *options_->expiry; }

  std::optional<std::uint64_t> fencing_token() const noexcept;
  std::chrono::milliseconds lease_ends_in() const noexcept;
  std::chrono::milliseconds valid_for() noexcept;
  std::chrono::milliseconds valid_here() const noexcept;  ///< the same without asking
  void extend(std::chrono::milliseconds expiry);
  std::stop_token lost_token() noexcept;

  /// Once.
  void end();
  void leave() noexcept;

  /// For those who drive all that themselves: as LockAccess's.
  void check_extension() const;
  void conclude(engine::QuorumExtending& extending) const;
  void check_release() const;
  std::chrono::nanoseconds began_at() const noexcept { return lease_->began().time_since_epoch(); }
  void conclude(const engine::GivingBack::Outcome& outcome, std::chrono::nanoseconds began) const;

  void tell_end(HoldEnded::Outcome outcome, std::chrono::nanoseconds began) const noexcept;

 private:
  void ask_for_full_lease() noexcept;

  const std::shared_ptr<Quorum> quorum_;
  const std::shared_ptr<const Options> options_;
  std::shared_ptr<engine::QuorumLease> lease_;
  std::atomic<bool> asked_{false};  // for the full lease
};

}  // namespace redismutex::api
