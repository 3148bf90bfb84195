#include "engine/quorum/quorum_extending.hpp"

#include <utility>
#include <vector>

#include "engine/quorum/reasons.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {

using protocol::Instant;

QuorumExtending::~QuorumExtending() {
  if (answers_) answers_->detach();
  if (loss_) lease_->panel().first().callbacks().run(std::move(loss_));
}

route::Procedure::Step QuorumExtending::start(Instant now) {
  if (lease_->valid_until() <= now) {
    loss_ = lease_->note_loss(Loss::expired);
    return Done{};
  }
  goal_ = protocol::valid_until(now, terms_.expiry);
  lease_->collect();
  const Panel& panel = lease_->panel();
  answers_ = std::make_shared<Answers<Extending::Outcome>>(panel.size(), waker_);
  const std::vector<QuorumLease::Part> parts = lease_->parts();
  asked_ = parts.size();
  for (const QuorumLease::Part& part : parts) {
    ask_one<Extending>(panel, part.server, answers_, part.lease, part.turn, terms_);
  }
  return look(now);
}

route::Procedure::Step QuorumExtending::resume(Event&& /*event*/, Instant now) { return look(now); }

route::Procedure::Step QuorumExtending::over(Outcome outcome) {
  outcome_ = std::move(outcome);
  return Done{};
}

/// As soon as what is still to come can change nothing. Votes that were collected meanwhile count, too.
route::Procedure::Step QuorumExtending::look(Instant now) {
  const Panel& panel = lease_->panel();
  std::size_t extended = 0;
  std::size_t gone = 0;
  std::size_t still_open = 0;
  bool ended = false;
  Reasons reasons{panel};
  answers_->judge([&](const auto& outcomes, std::size_t open) {
    still_open = open;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (!outcomes[i]) continue;
      const bool is_ended = std::holds_alternative<Extending::Ended>(*outcomes[i]);
      ended = ended || is_ended;
      if (is_ended || std::holds_alternative<Extending::Gone>(*outcomes[i])) {
        ++gone;
      } else if (!reasons.add(i, *outcomes[i])) {
        ++extended;
      }
    }
  });
  const std::size_t majority = panel.majority();
  const Instant until = lease_->valid_until();
  if (extended >= majority && until > now) return over(Extending::Extended{});
  if (asked_ - gone < majority) {
    loss_ = lease_->note_loss(ended ? Loss::expired : Loss::gone);
    return over(ended ? Outcome{Extending::Ended{}} : Outcome{Extending::Gone{}});
  }
  if (extended + still_open >= majority) return Sleep{.until = Instant::max()};
  return over(until >= goal_ ? Outcome{Extending::Extended{}} : reasons.no_answer());
}

}  // namespace redismutex::engine
