#pragma once

#include <array>
#include <memory>
#include <optional>
#include <redismutex/options.hpp>

#include "engine/lane.hpp"
#include "engine/lane_flight.hpp"
#include "protocol/instant.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

class Session;

/// A caller waits until enough replicas have received what was written of its lock so far. May be destroyed at any time.
class Acknowledging final : public route::Procedure, private route::Waker {
 public:
  struct Terms {
    Replicas replicas;
    protocol::Instant until;
  };

  /// `session` must outlive it; `waker` wakes its driver, and must outlive it, too. None: the driver can not be woken. Throws std::bad_alloc.
  Acknowledging(Session& session, const Lane::Item& lock, const Terms& terms, route::Waker* waker);
  ~Acknowledging();

  Step start(protocol::Instant now) override;
  Step resume(Event&& event, protocol::Instant now) override;

  /// After Done. None: they have received it.
  const std::optional<Lane::Trouble>& trouble() const noexcept { return trouble_; }

  /// Then: until when they have it for sure. That is not later than was asked.
  protocol::Instant confirmed_until() const { return items_.front().there_until.value(); }

 private:
  void wake() noexcept override;
  Rest begin_wake() noexcept override;
  Step look(bool stopped, protocol::Instant now);
  Step fly(Step step, protocol::Instant now);
  Step over(std::optional<Lane::Trouble> trouble);

  route::Waker* const waker_;
  const std::shared_ptr<Lane> lane_;
  std::array<Lane::Item, 1> items_;
  protocol::Instant began_;
  bool stopped_ = false;
  Lane::Member member_;
  std::optional<LaneFlight> flight_;  // while it leads
  std::optional<Lane::Trouble> trouble_;
};

}  // namespace redismutex::engine
