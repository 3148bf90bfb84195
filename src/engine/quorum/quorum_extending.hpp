#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "engine/extending.hpp"
#include "engine/quorum/bell.hpp"
#include "engine/quorum/everywhere.hpp"
#include "engine/quorum/quorum_lease.hpp"
#include "protocol/instant.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

/// Starts the leases at all servers of a quorum anew, for their holder, and waits until a majority has. May be destroyed at any time.
class QuorumExtending final : public route::Procedure {
 public:
  /// `waker` wakes its driver, and must outlive it.
  QuorumExtending(std::shared_ptr<QuorumLease> lease, const Extending::Terms& terms, route::Waker& waker)
      : lease_{std::move(lease)}, terms_{terms}, waker_{waker} {}
  ~QuorumExtending();

  Step start(protocol::Instant now) override;
  Step resume(Event&& event, protocol::Instant now) override;

  /// As of one server: what the majority said. The reasons of several are in one text.
  using Outcome = Extending::Outcome;
  const Outcome& outcome() const noexcept { return outcome_; }

  /// See Extending::take_loss().
  std::unique_ptr<route::Job> take_loss() noexcept { return std::move(loss_); }

 private:
  Step look(protocol::Instant now);
  std::size_t count_collected() const;
  Step over(Outcome outcome);

  const std::shared_ptr<QuorumLease> lease_;
  const Extending::Terms terms_;
  route::Waker& waker_;
  std::shared_ptr<Answers<Extending::Outcome>> answers_;
  std::vector<QuorumLease::Part> asked_;
  std::shared_ptr<Bell> votes_;  // that are collected meanwhile
  protocol::Instant goal_;
  Outcome outcome_{Extending::Ended{}};
  std::unique_ptr<route::Job> loss_;
};

}  // namespace redismutex::engine
