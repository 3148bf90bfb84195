#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <variant>

#include "engine/acknowledging.hpp"
#include "engine/conversation.hpp"
#include "engine/lease.hpp"
#include "protocol/exchange.hpp"
#include "protocol/extend.hpp"
#include "protocol/instant.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

class Session;

/// Why there is no answer to a request about a lock that is held.
struct NoAnswer {
  route::Failure failure;
  bool unknown = false;  ///< something was sent: it may have had its effect, or have it yet
};

/// Starts a lease anew, for its holder, and waits for the answer. May be destroyed at any time.
class Extending final : public route::Procedure {
 public:
  struct Terms {
    std::chrono::milliseconds expiry;
    protocol::Longer longer = protocol::Longer::goes;
    route::Waker* waker = nullptr;  ///< of the driver, which must outlive it; none: it can not be woken
  };

  /// `session` must outlive it.
  Extending(Session& session, std::shared_ptr<Lease> lease, Lease::Turn turn, const Terms& terms)
      : session_{session}, lease_{std::move(lease)}, turn_{turn}, terms_{terms} {}
  ~Extending();

  Step start(protocol::Instant now) override;
  Step resume(Event&& event, protocol::Instant now) override;

  struct Extended {};
  /// The lease has ended, or is not the holder's any more: nothing was asked, or the answer came too late.
  struct Ended {};
  struct Gone {};  ///< the server said so
  /// A Refusal is the server's; or it says that too few replicas are known to have it. Then the lease is what it was, or shorter if that
  /// was wanted.
  using Outcome = std::variant<Extended, Ended, Gone, protocol::Refusal, NoAnswer>;
  const Outcome& outcome() const noexcept { return outcome_; }

  /// The server has carried it out, and it is not known whether enough replicas have received that: a reason that says nothing of the server.
  bool is_unconfirmed() const noexcept { return unconfirmed_; }

  /// After Ended or Gone: tells of the loss, if nobody has yet; to be run by the holder's own thread. What is not taken is told in
  /// another thread.
  std::unique_ptr<route::Job> take_loss() noexcept { return std::move(loss_); }

 private:
  Step go_on(const Step& step, protocol::Instant now);
  Step confirm(protocol::Instant now);
  Step confirmed(const Step& step);
  void conclude();
  void conclude_unconfirmed(const Lane::Trouble& trouble);
  bool is_extended() const noexcept;

  Session& session_;
  const std::shared_ptr<Lease> lease_;
  const Lease::Turn turn_;
  const Terms terms_;
  std::optional<protocol::Extend> machine_;  // while it is under way
  std::optional<engine::Conversation> conversation_;
  protocol::Instant until_{};                     // of the lease before
  std::unique_ptr<Acknowledging> acknowledging_;  // while replicas are to have it
  bool unconfirmed_ = false;
  Outcome outcome_{Ended{}};
  std::unique_ptr<route::Job> loss_;
};

}  // namespace redismutex::engine
