#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <variant>

#include "engine/leaving.hpp"
#include "engine/quorum/everywhere.hpp"
#include "engine/quorum/quorum_lease.hpp"
#include "protocol/instant.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

/// Lets go of a lock of a quorum, which stays locked, and has its label written at all servers at once. Waits until a majority has written it, or
/// each has answered or had its time; the others go on in the background.
class QuorumLeaving final : public route::Procedure {
 public:
  /// `waker` wakes its driver, and must outlive it.
  QuorumLeaving(std::shared_ptr<QuorumLease> lease, route::Waker& waker)
      : lease_{std::move(lease)},
        answers_{std::make_shared<Answers<Leaving::Outcome>>(lease_->panel().size(), waker)} {}
  ~QuorumLeaving() { answers_->detach(); }

  Step start(protocol::Instant /*now*/) override {
    for (const QuorumLease::Part& part : lease_->end()) {
      const auto label = part.lease->leave(part.turn);
      if (label) ask_one<Leaving>(lease_->panel(), part.server, answers_, part.lease, *label);
    }
    return look();
  }
  Step resume(Event&& /*event*/, protocol::Instant /*now*/) override { return look(); }

  /// `told`: is given each server where it was not written, and why.
  template <class Told>
  void tell_troubles(const Told& told) const {
    const auto outcomes =
        answers_->judge([](const auto& all, std::size_t /*open*/) { return all; });  // told without its mutex
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (!outcomes[i]) continue;
      if (const auto* none = std::get_if<NoAnswer>(&*outcomes[i])) told(i, none->failure.text);
      if (const auto* refused = std::get_if<protocol::Refusal>(&*outcomes[i])) told(i, refused->text);
    }
  }

 private:
  Step look() {
    const bool is_over = answers_->judge([this](const auto& outcomes, std::size_t open) {
      const auto written = std::count_if(outcomes.begin(), outcomes.end(), [](const auto& outcome) {
        return outcome && std::holds_alternative<Leaving::Written>(*outcome);
      });
      return open == 0 || static_cast<std::size_t>(written) >= lease_->panel().majority();
    });
    return is_over ? Step{Done{}} : Step{Sleep{.until = protocol::Instant::max()}};
  }

  const std::shared_ptr<QuorumLease> lease_;
  const std::shared_ptr<Answers<Leaving::Outcome>> answers_;
};

}  // namespace redismutex::engine
