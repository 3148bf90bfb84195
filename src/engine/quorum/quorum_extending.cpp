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
  if (loss_) lease_->panel().first().callbacks().run(std::move(loss_));
}

route::Procedure::Step QuorumExtending::start(Instant now) {
  if (lease_->valid_until() <= now) return lost(lease_->lost().value_or(Loss::expired));
  goal_ = protocol::valid_until(now, terms_.expiry);
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

/// Where a majority has extended it is ours, whatever the others say or do not say, unless some of those have lost it since. Else a loss comes
/// first: what is valid by our clock is so only as far as is known. Then the others are waited for that can change something. Last,
/// what failed here may have been done by the renewer.
ExtensionTally::Verdict ExtensionTally::verdict() const noexcept {
  if (extended >= majority && lasts) return Verdict::extended;
  if (asked - gone < majority) return Verdict::lost;
  if (still_open > 0 && extended + still_open >= majority) return Verdict::open;
  if (lasts_as_wanted) return Verdict::extended;
  return extended < majority ? Verdict::unanswered : Verdict::lapsed;
}

/// A vote may have come to count meanwhile.
std::vector<bool> QuorumExtending::counting() const {
  std::vector<bool> counting(lease_->panel().size());
  for (const QuorumLease::Part& part : asked_) counting[part.server] = part.counts;
  for (const QuorumLease::Part& part : lease_->parts()) {
    const bool is_asked = std::any_of(asked_.begin(), asked_.end(),
                                      [&part](const QuorumLease::Part& asked) { return asked.lease == part.lease; });
    if (is_asked) counting[part.server] = part.counts;
  }
  return counting;
}

route::Procedure::Step QuorumExtending::look(Instant now) {
  using Verdict = ExtensionTally::Verdict;
  if (const auto why = lease_->lost()) return lost(*why);
  const Panel& panel = lease_->panel();
  const std::vector<bool> counts = counting();
  ExtensionTally tally{.majority = panel.majority(),
                       .asked = static_cast<std::size_t>(std::count(counts.begin(), counts.end(), true))};
  bool ended = false;
  Reasons reasons{panel};
  answers_->judge([&](const auto& outcomes, std::size_t /*open*/) {
    std::size_t answered = 0;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (!outcomes[i]) continue;
      const bool is_reason = reasons.add(i, *outcomes[i]);
      if (!counts[i]) continue;
      ++answered;
      const bool is_ended = std::holds_alternative<Extending::Ended>(*outcomes[i]);
      ended = ended || is_ended;
      if (is_ended || std::holds_alternative<Extending::Gone>(*outcomes[i])) {
        ++tally.gone;
      } else if (!is_reason) {
        ++tally.extended;
      }
    }
    tally.still_open = tally.asked - answered;
  });
  const Instant until = lease_->valid_until();
  tally.lasts = until > now;
  tally.lasts_as_wanted = until >= goal_;
  switch (tally.verdict()) {
    case Verdict::open: return Sleep{.until = Instant::max()};
    case Verdict::extended: return over(Extending::Extended{});
    case Verdict::unanswered: return over(reasons.sum<Outcome>(reasons.text()));
    case Verdict::lapsed: return lost(Loss::expired);
    case Verdict::lost: break;
  }
  return lost(ended ? Loss::expired : Loss::gone);
}

route::Procedure::Step QuorumExtending::lost(Loss why) {
  loss_ = lease_->note_loss(why);
  return over(why == Loss::expired ? Outcome{Extending::Ended{}} : Outcome{Extending::Gone{}});
}

}  // namespace redismutex::engine
