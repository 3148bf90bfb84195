#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/giving_back.hpp"
#include "engine/quorum/everywhere.hpp"
#include "engine/quorum/quorum_lease.hpp"
#include "protocol/instant.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

/// Gives a lock of a quorum back, at all servers at once, and waits until a majority has it no more; the others follow in the background.
/// May be destroyed at any time: then all of it happens there.
class QuorumGivingBack final : public route::Procedure {
 public:
  /// `waker` wakes its driver, and must outlive it.
  QuorumGivingBack(std::shared_ptr<QuorumLease> lease, route::Waker& waker) : lease_{std::move(lease)}, waker_{waker} {}
  ~QuorumGivingBack();

  Step start(protocol::Instant now) override;
  Step resume(Event&& event, protocol::Instant now) override;

  /// As of one server.
  using Outcome = GivingBack::Outcome;
  const Outcome& outcome() const noexcept { return outcome_; }

  /// See GivingBack::take_loss().
  std::unique_ptr<route::Job> take_loss() noexcept { return std::move(loss_); }

 private:
  Step look();
  Step over(Outcome outcome);

  const std::shared_ptr<QuorumLease> lease_;
  route::Waker& waker_;
  std::shared_ptr<Answers<GivingBack::Outcome>> answers_;
  std::vector<bool> counts_;  // of each server, whether it has a vote that counts
  Outcome outcome_{GivingBack::Gone{}};
  std::unique_ptr<route::Job> loss_;
};

/// The same without anybody who waits for it.
void give_back(QuorumLease& lease) noexcept;

}  // namespace redismutex::engine
