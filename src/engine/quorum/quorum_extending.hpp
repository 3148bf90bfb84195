#pragma once

#include <cstddef>
#include <memory>
#include <redismutex/observer.hpp>
#include <variant>
#include <vector>

#include "engine/extending.hpp"
#include "engine/quorum/everywhere.hpp"
#include "engine/quorum/quorum_lease.hpp"
#include "protocol/instant.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

/// What is known so far of an extension that all servers of a quorum were asked for; of the votes that count.
struct ExtensionTally {
  std::size_t majority;
  std::size_t asked;
  std::size_t extended = 0;
  std::size_t gone = 0;        ///< at so many it was lost before
  std::size_t still_open = 0;  ///< have not answered
  bool lasts = false;          ///< the lock is valid
  bool lasts_as_wanted = false;

  /// As soon as what is still to come can change nothing, it is not `open`. `lapsed`: a majority did extend, and then some of them lost it.
  enum class Verdict { open, extended, lost, lapsed, unanswered };
  Verdict verdict() const noexcept;
};

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
  std::vector<bool> counting() const;
  Step lost(Loss why);
  Step over(Outcome outcome);

  const std::shared_ptr<QuorumLease> lease_;
  const Extending::Terms terms_;
  route::Waker& waker_;
  std::shared_ptr<Answers<Extending::Outcome>> answers_;
  std::vector<QuorumLease::Part> asked_;
  protocol::Instant goal_;
  Outcome outcome_{Extending::Ended{}};
  std::unique_ptr<route::Job> loss_;
};

}  // namespace redismutex::engine
