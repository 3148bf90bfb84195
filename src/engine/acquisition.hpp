#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>

#include "engine/acknowledging.hpp"
#include "engine/approach.hpp"
#include "engine/lease.hpp"
#include "engine/line.hpp"
#include "protocol/acquire.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

class Session;

/// One caller's way to one lock: first through the line of its own process, then at the server. May be destroyed at any time, also
/// after an exception: then it leaves its turn, or what it got meanwhile, to the next.
class Acquisition final : public route::Procedure {
 public:
  /// `session` must outlive it; `waker` wakes its driver, and must outlive it, too.
  Acquisition(Session& session, protocol::Key key, Wishes wishes, route::Waker& waker);
  ~Acquisition();

  Step start(protocol::Instant now) override;
  Step resume(Event&& event, protocol::Instant now) override;

  struct Granted {
    enum class How {
      free,         ///< nobody had it
      handed_over,  ///< by its owner, through the server
      passed,       ///< by its owner, within the process
    };
    std::shared_ptr<Lease> lease;
    Lease::Turn turn;
    How how;
    Lines::Ticket ticket;                          ///< for GivingBack
    std::optional<protocol::Instant> handed_at{};  ///< about; if it was handed over
  };
  struct Taken {};  ///< by somebody else, until the end
  struct Full {};   ///< so many are waiting already that this one may not
  using Outcome = std::variant<Taken, Granted, Full, protocol::Refusal, route::Failure>;

  /// After Done. It is the caller's then: what is not taken is given back.
  Outcome take_outcome();

  /// So often it was handed the lock, and noticed too late.
  std::size_t claims_lost() const noexcept { return claims_lost_; }

  /// Since when it has waited for others; none: it has not.
  const std::optional<protocol::Instant>& waits_since() const noexcept { return waits_since_; }

  /// Under which it stands at the server at present; none: it does not, or it is over.
  const protocol::OwnerId* id() const noexcept {
    return phase_ == Phase::first && member_.approach ? &member_.approach->id() : nullptr;
  }

  /// How many of the process are ahead of it, as far as it waits for them; for any thread.
  std::size_t ahead();

 private:
  enum class Phase {
    reaching,    // for the first time, so that ids tell the connection
    waiting,     // behind others of the process
    first,       // at the server
    confirming,  // it has the lock there, and waits for replicas to have it
    over,
  };

  Step enter(protocol::Instant now);
  Step greeted(Event& event, protocol::Instant now);
  Step look_at_line(bool stopped, protocol::Instant now);
  Step go_on(Lines::Member::State state, bool stopped, protocol::Instant now);
  Step be_first(protocol::Instant now);
  Step take_pass(protocol::Instant now);
  Step drive(Event& event, protocol::Instant now);
  template <class Next>
  Step converse(const Next& next, protocol::Instant now);
  Step driven(const Step& step, protocol::Instant now);
  void tell_line();
  Step conclude(protocol::Instant now);
  Step begin_lease(const protocol::Acquire::Held& held, protocol::Instant now,
                   protocol::Instant confirmed_until = protocol::never);
  Step confirm(const protocol::Acquire::Held& held, protocol::Instant now);
  Step confirmed(const Step& step, protocol::Instant now);
  Step note_wait(const Step& step, protocol::Instant now);
  void leave() noexcept;
  Step over(Outcome outcome);
  Outcome outcome_of(bool met_others, const route::Failure* trouble) const;
  bool is_in_line() const noexcept { return wishes_.local_handoffs > 0 && wishes_.wait_until.has_value(); }
  bool time_is_up(protocol::Instant now) const noexcept { return wishes_.wait_until && now >= *wishes_.wait_until; }

  Session& session_;
  const protocol::Key key_;
  const Wishes wishes_;
  route::Waker& waker_;
  const std::uint64_t fork_generation_;
  Lines::Member member_;
  Phase phase_ = Phase::reaching;
  protocol::Instant begun_{};
  bool trouble_told_ = false;
  bool met_told_ = false;
  bool is_ready_ = false;  // for what a lock that is handed over needs
  std::optional<protocol::Instant> waits_since_;
  std::size_t claims_lost_ = 0;
  std::unique_ptr<Acknowledging> acknowledging_;  // while it is confirming
  Outcome outcome_{Taken{}};
};

}  // namespace redismutex::engine
