#include "engine/quorum/quorum_giving_back.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/quorum/reasons.hpp"

namespace redismutex::engine {

using protocol::Instant;

void give_back(QuorumLease& lease) noexcept {
  for (const QuorumLease::Part& part : lease.end()) {
    give_back(lease.panel().session(part.server), part.lease, part.turn, {});
  }
}

QuorumGivingBack::~QuorumGivingBack() {
  if (loss_) lease_->panel().first().callbacks().run(std::move(loss_));
  if (answers_) answers_->detach();
  give_back(*lease_);
}

route::Procedure::Step QuorumGivingBack::start(Instant /*now*/) {
  const Panel& panel = lease_->panel();
  answers_ = std::make_shared<Answers<GivingBack::Outcome>>(panel.size(), waker_);
  const std::vector<QuorumLease::Part> parts = lease_->end();
  counts_.resize(panel.size());
  for (const QuorumLease::Part& part : parts) {
    counts_[part.server] = part.counts;
    ask_one<GivingBack>(panel, part.server, answers_, part.lease, part.turn, Lines::Ticket{});
  }
  return look();
}

route::Procedure::Step QuorumGivingBack::resume(Event&& /*event*/, Instant /*now*/) { return look(); }

route::Procedure::Step QuorumGivingBack::over(Outcome outcome) {
  outcome_ = std::move(outcome);
  return Done{};
}

/// A lock of which a majority of the servers knew nothing any more was lost; votes on probation do not help, and one that was found lost
/// before has nothing left. Else it is free when a majority has it no more: those that never had it, or have lost it, are among them.
route::Procedure::Step QuorumGivingBack::look() {
  const Panel& panel = lease_->panel();
  std::size_t released = 0;
  std::size_t gone = 0;
  const auto asked = static_cast<std::size_t>(std::count(counts_.begin(), counts_.end(), true));
  std::size_t still_open = 0;
  bool expired = false;
  Reasons reasons{panel};
  answers_->judge([&](const auto& outcomes, std::size_t open) {
    still_open = open;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (!outcomes[i]) continue;
      const bool is_reason = reasons.add(i, *outcomes[i]);
      if (!counts_[i]) continue;
      const GivingBack::Outcome& outcome = *outcomes[i];
      const bool is_expired = std::holds_alternative<GivingBack::Expired>(outcome);
      expired = expired || is_expired;
      if (is_expired || std::holds_alternative<GivingBack::Gone>(outcome)) {
        ++gone;
      } else if (!is_reason) {
        ++released;
      }
    }
  });
  const std::size_t majority = panel.majority();
  const bool was_lost = released >= majority && lease_->lost();  // what is lost stays so
  if (released >= majority && !was_lost) return over(GivingBack::Released{});
  if (was_lost || asked - gone < majority) {
    const Loss why = lease_->lost().value_or(expired ? Loss::expired : Loss::gone);
    loss_ = lease_->note_loss(why);
    return over(why == Loss::expired ? Outcome{GivingBack::Expired{}} : Outcome{GivingBack::Gone{}});
  }
  if (still_open > 0) return Sleep{.until = Instant::max()};
  if (reasons.count() <= panel.size() - majority) return over(GivingBack::Released{});
  return over(reasons.sum<GivingBack::Outcome>(reasons.text()));
}

}  // namespace redismutex::engine
