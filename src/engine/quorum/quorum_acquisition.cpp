#include "engine/quorum/quorum_acquisition.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "engine/giving_back.hpp"
#include "engine/quorum/delegate.hpp"
#include "engine/quorum/quorum_giving_back.hpp"
#include "engine/quorum/reasons.hpp"
#include "engine/session.hpp"
#include "route/environment.hpp"

namespace redismutex::engine {
namespace {

using Kind = route::Failure::Kind;
using protocol::Instant;
using std::chrono::milliseconds;
using Verdict = protocol::Council::Verdict;

// Between attempts to reach a majority.
constexpr milliseconds first_pause_of_all{50};
constexpr milliseconds longest_pause_of_all{250};

// For those that end at the time limit to say so.
constexpr milliseconds grace{100};

// Once a majority has given its votes, so long or for as long as the first answer took the others have for the roll call.
constexpr Instant::duration shortest_call = milliseconds{100};

// What is to be done once a majority stands may take so long beyond the time limit, or twice as long as the first answer took.
constexpr milliseconds moment_beyond{100};

// For so long a server has a token in mind beyond the lease that it was minted for, as after a release.
constexpr milliseconds token_outlasts_lease{60'000};

}  // namespace

QuorumAcquisition::QuorumAcquisition(std::shared_ptr<const Panel> panel, protocol::Key key, Wishes wishes,
                                     route::Waker& waker)
    : panel_{std::move(panel)},
      key_{std::move(key)},
      wishes_{std::move(wishes)},
      waker_{waker},
      fork_generation_{route::fork_generation()} {}

QuorumAcquisition::~QuorumAcquisition() {
  if (fork_generation_ != route::fork_generation()) {
    // A child of fork(): all of it is the parent's, and may be locked for ever here.
    route::leave_alone(std::move(ballot_));
    route::leave_alone(std::move(lease_));
    route::leave_alone(std::move(floors_));
    route::leave_alone(std::move(outcome_));
    return;
  }
  close();
  if (const auto* granted = std::get_if<Granted>(&outcome_); granted != nullptr && granted->lease) {
    give_back(*granted->lease);
  }
}

/// What the present attempt has, or gets later, is given back.
void QuorumAcquisition::close() noexcept {
  if (const auto floors = std::exchange(floors_, nullptr)) floors->detach();
  if (const auto ballot = std::exchange(ballot_, nullptr)) ballot->close();
  if (const auto lease = std::exchange(lease_, nullptr)) give_back(*lease);
}

QuorumAcquisition::Outcome QuorumAcquisition::take_outcome() { return std::exchange(outcome_, Taken{}); }

route::Procedure::Step QuorumAcquisition::over(Outcome outcome) {
  close();
  phase_ = Phase::over;
  outcome_ = std::move(outcome);
  return Done{};
}

route::Procedure::Step QuorumAcquisition::start(Instant now) {
  deadline_ = wishes_.wait_until ? *wishes_.wait_until : patience(now);
  ticket_ = panel_->first().environment().wall_clock();
  return begin_attempt(now);
}

/// All of them have given up by then, each with its reason.
Instant QuorumAcquisition::patience(Instant now) const {
  Instant until = now;
  for (std::size_t i = 0; i < panel_->size(); ++i) until = std::max(until, panel_->session(i).patience(now));
  return until + grace;
}

route::Procedure::Step QuorumAcquisition::resume(Event&& event, Instant now) {
  if (std::holds_alternative<Stopped>(event)) return over(route::Failure{Kind::cancelled, "cancelled"});
  switch (phase_) {
    case Phase::pausing: return begin_attempt(now);
    case Phase::raising: return look_at_floors(now);
    default: return look(now);
  }
}

route::Procedure::Step QuorumAcquisition::begin_attempt(Instant now) {
  phase_ = Phase::voting;
  attempt_began_ = now;
  Session& first = panel_->first();
  const protocol::Tag tag = first.identity().tag();
  candidacy_.emplace(Candidacy{.id = route::new_owner_id(first.environment(), tag), .ticket = ticket_});
  lease_ = std::make_shared<QuorumLease>(panel_, key_, candidacy_->id,
                                         Lease::Terms{.expiry = wishes_.expiry,
                                                      .renews = wishes_.renews,
                                                      .max_hold = wishes_.max_hold,
                                                      .label = wishes_.label,
                                                      .name = wishes_.name});
  ballot_ = std::make_shared<Ballot>(*panel_, wishes_.wait_until ? Ballot::Kind::waits : Ballot::Kind::one_try, lease_,
                                     waker_);
  std::vector<std::shared_ptr<Delegate>> delegates;
  for (std::size_t i = 0; i < panel_->size(); ++i) {
    panel_->session(i).identity().adopt(tag);  // so that each server's list of clients tells whose lock it is
    delegates.push_back(std::make_shared<Delegate>(ballot_, *panel_, i, key_, wishes_, *candidacy_));
  }
  for (std::size_t i = 0; i < panel_->size(); ++i) panel_->session(i).background().start_here(std::move(delegates[i]));
  return Sleep{.until = deadline_};
}

/// Something has changed, or the time is up.
route::Procedure::Step QuorumAcquisition::look(Instant now) {
  if (const auto twins = panel_->roll()->twins()) return over(one_twice(*twins));
  const Ballot::State state = ballot_->state(now);
  if (state.is_answered && first_answer_after_ == Instant::duration{}) first_answer_after_ = now - attempt_began_;
  switch (state.verdict) {
    case Verdict::won:
      was_handed_ = state.was_handed;
      if (const auto until = roll_call(state, now); now < until) return Sleep{.until = until};
      return won(now);
    case Verdict::taken: return over(state.is_full ? Outcome{Full{}} : Outcome{Taken{}});
    case Verdict::unreachable: return unreachable(now);
    default: break;
  }
  if (time_is_up(now)) return end_of_time(state);
  if (state.meets_others && wishes_.wait_until) note_wait();
  if (fork_generation_ == route::fork_generation()) return Sleep{.until = deadline_};
  phase_ = Phase::over;
  outcome_ = route::Failure{Kind::cancelled, "this process was forked while its parent waited"};
  return Done{};
}

/// The first time all have some time to say who they are, so that one which is named twice is found. Returns until when.
Instant QuorumAcquisition::roll_call(const Ballot::State& state, Instant now) {
  Roll& roll = *panel_->roll();
  if (!roll.is_called() && called_until_ == Instant{}) {
    called_until_ = std::min(deadline_, now + std::max(shortest_call, first_answer_after_));
  }
  if (!roll.is_called() && state.is_silent && now < called_until_) return called_until_;
  roll.note_called();
  return now;
}

void QuorumAcquisition::note_wait() {
  if (std::exchange(waits_, true) || !wishes_.on_wait) return;
  wishes_.on_wait();
}

route::Procedure::Step QuorumAcquisition::won(Instant now) {
  token_ = wishes_.fencing ? ballot_->token() : 0;
  return token_ != 0 ? raise_floors(now) : grant(now);
}

route::Procedure::Step QuorumAcquisition::grant(Instant now) {
  ballot_->detach();
  lease_->begin(std::exchange(ballot_, nullptr), token_, now);
  if (lease_->valid_until() <= now) {  // it took too long: that is no lock any more
    close();
    return wishes_.wait_until && !time_is_up(now) ? begin_attempt(now) : over(Taken{});
  }
  return over(Granted{.lease = std::exchange(lease_, nullptr), .was_handed = was_handed_});
}

// ---- fencing tokens -------------------------------------------------------------------------------------------------

/// A majority has to know the token before it is used.
route::Procedure::Step QuorumAcquisition::raise_floors(Instant now) {
  phase_ = Phase::raising;
  floors_ = std::make_shared<Answers<Raising::Outcome>>(panel_->size(), waker_);
  const protocol::RaiseFloor::Terms terms{.token = token_, .lasts = wishes_.expiry + token_outlasts_lease};
  for (std::size_t i = 0; i < panel_->size(); ++i) ask_one<Raising>(*panel_, i, floors_, key_, terms);
  raised_until_ = patience(now);
  if (wishes_.wait_until) {
    const Instant::duration beyond = std::max<Instant::duration>(moment_beyond, 2 * first_answer_after_);
    raised_until_ = std::min(raised_until_, std::max(deadline_, now) + beyond);
  }
  return Sleep{.until = raised_until_};
}

route::Procedure::Step QuorumAcquisition::look_at_floors(Instant now) {
  std::vector<Ballot::Trouble> troubles;
  std::size_t raised = 0;
  bool is_open = false;
  floors_->judge([&](const auto& outcomes, std::size_t open) {
    is_open = open > 0;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (!outcomes[i]) continue;
      if (const auto* none = std::get_if<NoAnswer>(&*outcomes[i])) {
        Ballot::Trouble& trouble = troubles.emplace_back();
        trouble.server = i;
        trouble.failure = none->failure;
      } else if (const auto* refused = std::get_if<protocol::Refusal>(&*outcomes[i])) {
        Ballot::Trouble& trouble = troubles.emplace_back();
        trouble.server = i;
        trouble.failure = {Kind::refused, refused->text};
        trouble.code = refused->code;
      } else {
        ++raised;
      }
    }
  });
  if (raised >= panel_->majority()) {
    std::exchange(floors_, nullptr)->detach();
    // A vote that came meanwhile may have brought a higher one, and one of those before may be gone.
    return ballot_->token() > token_ ? won(now) : grant(now);
  }
  const bool may_be = is_open && troubles.size() <= panel_->size() - panel_->majority();
  if (may_be && now < raised_until_) return Sleep{.until = raised_until_};
  if (may_be && troubles.empty()) return over(Taken{});  // the time is up
  return over(failed(troubles));
}

// ---- endings --------------------------------------------------------------------------------------------------------

/// So many servers can not be reached that the others are of no use. Who waits tries again, unless waiting can not help.
route::Procedure::Step QuorumAcquisition::unreachable(Instant now) {
  const std::vector<Ballot::Trouble> troubles = ballot_->troubles();
  const auto mends = [](const Ballot::Trouble& trouble) {
    return trouble.code.empty() && !trouble.failure.permanent();
  };
  const auto mending = static_cast<std::size_t>(std::count_if(troubles.begin(), troubles.end(), mends));
  const bool may_help = panel_->size() - troubles.size() + mending >= panel_->majority();
  if (wishes_.wait_until && time_is_up(now) && last_failure_) return over(std::move(*last_failure_));
  if (!wishes_.wait_until || time_is_up(now) || !may_help) return over(failed(troubles));
  close();
  phase_ = Phase::pausing;
  const auto pause = route::jittered_pause(pauses_++, first_pause_of_all, longest_pause_of_all,
                                           panel_->first().environment().random_bits());
  last_failure_ = failed(troubles);
  return Sleep{.until = std::min<Instant>(deadline_, now + pause)};
}

route::Procedure::Step QuorumAcquisition::end_of_time(const Ballot::State& state) {
  if (state.is_answered) return over(Taken{});
  // The last attempt had little time.
  return over(last_failure_ ? std::move(*last_failure_) : failed(ballot_->troubles()));
}

QuorumAcquisition::Outcome QuorumAcquisition::one_twice(std::pair<std::size_t, std::size_t> twins) const {
  return route::Failure{Kind::unusable, panel_->name(twins.first) + " and " + panel_->name(twins.second) +
                                            " lead to one server, and one server has one vote"};
}

/// With the reason of each server, as far as it is known.
QuorumAcquisition::Outcome QuorumAcquisition::failed(const std::vector<Ballot::Trouble>& troubles) const {
  std::string text = "too few of the " + std::to_string(panel_->size()) + " servers answered, " +
                     std::to_string(panel_->majority()) + " are needed";
  Reasons reasons{*panel_};
  for (const Ballot::Trouble& trouble : troubles) reasons.add(trouble.server, trouble.failure, trouble.code);
  text += "; " + (troubles.empty() ? "none gave a reason within the time limit" : reasons.text());
  return reasons.sum<Outcome>(std::move(text));
}

}  // namespace redismutex::engine
