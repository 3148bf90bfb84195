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

ExtensionTally::Verdict ExtensionTally::verdict() const noexcept {
  if (extended >= majority && lasts) return Verdict::extended;
  if (extended + collected >= majority && lasts_as_wanted) return Verdict::extended;
  if (asked - gone < majority) return Verdict::lost;
  if (still_open > 0 && extended + still_open >= majority) return Verdict::open;
  if (lasts_as_wanted) return Verdict::extended;
  return extended < majority ? Verdict::unanswered : Verdict::lapsed;
}

route::Procedure::Step QuorumExtending::look(Instant now) {
  using Verdict = ExtensionTally::Verdict;
  const Panel& panel = lease_->panel();
  ExtensionTally tally{.majority = panel.majority(), .asked = asked_.size(), .collected = count_collected()};
  bool ended = false;
  Reasons reasons{panel};
  answers_->judge([&](const auto& outcomes, std::size_t open) {
    tally.still_open = open;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (!outcomes[i]) continue;
      const bool is_ended = std::holds_alternative<Extending::Ended>(*outcomes[i]);
      ended = ended || is_ended;
      if (is_ended || std::holds_alternative<Extending::Gone>(*outcomes[i])) {
        ++tally.gone;
      } else if (!reasons.add(i, *outcomes[i])) {
        ++tally.extended;
      }
    }
  });
  const Instant until = lease_->valid_until();
  tally.lasts = until > now;
  tally.lasts_as_wanted = until >= goal_;
  switch (tally.verdict()) {
    case Verdict::open: return Sleep{.until = Instant::max()};
    case Verdict::extended: return over(Extending::Extended{});
    case Verdict::unanswered: return over(reasons.sum<Outcome>(reasons.text()));
    case Verdict::lapsed: ended = true; break;
    case Verdict::lost: break;
  }
  loss_ = lease_->note_loss(ended ? Loss::expired : Loss::gone);
  return over(ended ? Outcome{Extending::Ended{}} : Outcome{Extending::Gone{}});
}

}  // namespace redismutex::engine
