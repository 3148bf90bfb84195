#include "engine/quorum/quorum_extending.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/quorum/reasons.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {

using protocol::Instant;

QuorumExtending::~QuorumExtending() {
  if (answers_) answers_->detach();
  if (votes_) votes_->lead_to(nullptr);
  if (loss_) lease_->panel().first().callbacks().run(std::move(loss_));
}

route::Procedure::Step QuorumExtending::start(Instant now) {
  if (lease_->valid_until() <= now) {
    loss_ = lease_->note_loss(Loss::expired);
    return Done{};
  }
  goal_ = protocol::valid_until(now, terms_.expiry);
  votes_ = std::make_shared<Bell>();
  votes_->lead_to(&waker_);
  lease_->on_vote(votes_);
  lease_->collect();
  const Panel& panel = lease_->panel();
  answers_ = std::make_shared<Answers<Extending::Outcome>>(panel.size(), waker_);
  asked_ = lease_->parts();
  for (const QuorumLease::Part& part : asked_) {
    ask_one<Extending>(panel, part.server, answers_, part.lease, part.turn, terms_);
  }
  return look(now);
}

route::Procedure::Step QuorumExtending::resume(Event&& /*event*/, Instant now) { return look(now); }

route::Procedure::Step QuorumExtending::over(Outcome outcome) {
  outcome_ = std::move(outcome);
  return Done{};
}

/// Votes that are none of those whose extension was asked for.
std::size_t QuorumExtending::count_collected() const {
  const std::vector<QuorumLease::Part> parts = lease_->parts();
  return static_cast<std::size_t>(std::count_if(parts.begin(), parts.end(), [this](const QuorumLease::Part& part) {
    return std::none_of(asked_.begin(), asked_.end(),
                        [&part](const QuorumLease::Part& asked) { return asked.lease == part.lease; });
  }));
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
  if (extended + count_collected() >= majority && until >= goal_) return over(Extending::Extended{});
  if (asked_.size() - gone < majority) {
    loss_ = lease_->note_loss(ended ? Loss::expired : Loss::gone);
    return over(ended ? Outcome{Extending::Ended{}} : Outcome{Extending::Gone{}});
  }
  if (still_open > 0 && extended + still_open >= majority) return Sleep{.until = Instant::max()};
  if (until >= goal_) return over(Extending::Extended{});
  if (extended < majority) return over(reasons.no_answer());
  // A majority did extend, and then some of them lost it.
  loss_ = lease_->note_loss(Loss::expired);
  return over(Extending::Ended{});
}

}  // namespace redismutex::engine
