#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "engine/conversation.hpp"
#include "engine/extending.hpp"
#include "engine/lease.hpp"
#include "engine/line.hpp"
#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/release.hpp"
#include "route/procedure.hpp"

namespace redismutex::engine {

class Session;

/// Gives a lock back, for its holder: to the next of the process, else to the server. What could not be given back in time is given
/// back in the background, as long as the lease lasts. May be destroyed at any time: then all of it happens there.
class GivingBack final : public route::Procedure {
 public:
  /// `session` must outlive it.
  /// `waker`: as in Extending::Terms.
  GivingBack(Session& session, std::shared_ptr<Lease> lease, Lease::Turn turn, Lines::Ticket ticket,
             route::Waker* waker = nullptr)
      : session_{session}, lease_{std::move(lease)}, turn_{turn}, ticket_{ticket}, waker_{waker} {}
  ~GivingBack();

  Step start(protocol::Instant now) override;
  Step resume(Event&& event, protocol::Instant now) override;

  struct Released {};
  struct Passed {};   ///< to the next of the process
  struct Gone {};     ///< it was not the holder's any more, though its lease had not ended
  struct Expired {};  ///< its lease had ended, and it was not the holder's any more, or the holder had been told so
  using Outcome = std::variant<Released, Passed, Gone, Expired, protocol::Refusal, NoAnswer>;
  const Outcome& outcome() const noexcept { return outcome_; }

  /// After Gone or Expired: as Extending::take_loss().
  std::unique_ptr<route::Job> take_loss() noexcept { return std::move(loss_); }

 private:
  Step hand_on(Lines::Extended extended, protocol::Instant now);
  Step ask(Step step, protocol::Instant now);
  Step asked(protocol::Instant now);
  Step release(protocol::Instant now);
  Step go_on(const Step& step);
  void conclude();
  Step over(Outcome outcome);
  Outcome found_gone();
  void leave_to_clean_ups() noexcept;

  Session& session_;
  const std::shared_ptr<Lease> lease_;
  const Lease::Turn turn_;
  const Lines::Ticket ticket_;
  route::Waker* const waker_;
  std::optional<Extending> extending_;   // while the server is asked before the lock is passed
  std::optional<Lease::Ending> ending_;  // from then on the lock is nobody's of this process
  std::optional<protocol::Release> machine_;
  std::optional<engine::Conversation> conversation_;
  bool is_over_ = false;
  Outcome outcome_{Released{}};
  std::unique_ptr<route::Job> loss_;
};

/// To the next of the process, if that takes no time. Whether it has: else nothing has changed.
bool pass_on(Session& session, const std::shared_ptr<Lease>& lease, const Lines::Ticket& ticket) noexcept;

/// The same without anybody who waits for it: to the next of the process if that takes no time, else in the background.
void give_back(Session& session, const std::shared_ptr<Lease>& lease, Lease::Turn turn,
               const Lines::Ticket& ticket) noexcept;

}  // namespace redismutex::engine
