#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/approach.hpp"
#include "engine/quorum/ballot.hpp"
#include "engine/quorum/everywhere.hpp"
#include "engine/quorum/panel.hpp"
#include "engine/quorum/quorum_lease.hpp"
#include "engine/quorum/raising.hpp"
#include "protocol/council.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

/// One caller's way to a lock at a quorum. The caller sends the first request of each of its delegates, and sleeps; they talk to the servers, all at
/// once. May be destroyed at any time, also after an exception: then what it has, or gets later, is given back in the background.
///
/// A majority that can not be reached is waited for, as a single server is, but never in line: what was got from the others is given back
/// first, because it would block those who reach more. Each attempt has an id of its own.
class QuorumAcquisition final : public route::Procedure {
 public:
  /// The panel's Sessions, and `waker`, which wakes its driver, must outlive it.
  QuorumAcquisition(std::shared_ptr<const Panel> panel, protocol::Key key, Wishes wishes, route::Waker& waker);
  ~QuorumAcquisition();

  Step start(protocol::Instant now) override;
  Step resume(Event&& event, protocol::Instant now) override;

  struct Granted {
    std::shared_ptr<QuorumLease> lease;
    bool was_handed;  ///< by its owner
  };
  struct Taken {};  ///< by somebody else, until the end
  struct Full {};   ///< so many are waiting already that this one may not
  using Outcome = std::variant<Taken, Granted, Full, protocol::Refusal, route::Failure>;

  /// After Done. It is the caller's then: what is not taken is given back.
  Outcome take_outcome();

  /// A single vote that was noticed too late is asked for again: that is no loss of the lock.
  static constexpr std::size_t claims_lost() noexcept { return 0; }

  /// The id of the present attempt.
  const protocol::OwnerId* id() const noexcept { return candidacy_ ? &candidacy_->id : nullptr; }

 private:
  enum class Phase { voting, pausing, raising, over };

  protocol::Instant patience(protocol::Instant now) const;
  Step begin_attempt(protocol::Instant now);
  Step look(protocol::Instant now);
  Step look_at_floors(protocol::Instant now);
  Step won(protocol::Instant now);
  Step raise_floors(protocol::Instant now);
  Step grant(protocol::Instant now);
  Step unreachable(protocol::Instant now);
  Step end_of_time(const Ballot::State& state);
  Step over(Outcome outcome);
  void close() noexcept;
  void note_wait();
  protocol::Instant roll_call(const Ballot::State& state, protocol::Instant now);
  Outcome one_twice(std::pair<std::size_t, std::size_t> twins) const;
  Outcome failed(const std::vector<Ballot::Trouble>& troubles) const;
  bool time_is_up(protocol::Instant now) const noexcept { return now >= deadline_; }

  const std::shared_ptr<const Panel> panel_;
  const protocol::Key key_;
  const Wishes wishes_;
  route::Waker& waker_;
  const std::uint64_t fork_generation_;

  Phase phase_ = Phase::voting;
  protocol::Instant deadline_{};
  protocol::Instant attempt_began_{};
  protocol::Instant::duration first_answer_after_{};
  protocol::Instant called_until_{};  // the roll
  std::chrono::microseconds ticket_{0};
  std::optional<Candidacy> candidacy_;
  std::shared_ptr<QuorumLease> lease_;
  std::shared_ptr<Ballot> ballot_;
  std::shared_ptr<Answers<Raising::Outcome>> floors_;
  protocol::Instant raised_until_{};
  std::uint64_t token_ = 0;
  bool was_handed_ = false;
  bool waits_ = false;
  unsigned pauses_ = 0;
  std::optional<Outcome> last_failure_;  // of an attempt
  Outcome outcome_{Taken{}};
};

}  // namespace redismutex::engine
