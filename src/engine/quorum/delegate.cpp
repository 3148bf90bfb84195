#include "engine/quorum/delegate.hpp"

#include <exception>
#include <string>
#include <utility>
#include <variant>

#include "engine/giving_back.hpp"
#include "engine/session.hpp"

namespace redismutex::engine {

using protocol::Acquire;
using protocol::Instant;

Delegate::Delegate(std::shared_ptr<Ballot> ballot, const Panel& panel, std::size_t server, const protocol::Key& key,
                   const Wishes& wishes, const Candidacy& candidacy)
    : ballot_{std::move(ballot)}, server_{server}, session_{panel.session(server)}, roll_{panel.roll()} {
  approach_.emplace(session_, key, wishes, place_terms(wishes), bell_, &candidacy);
  ballot_->enter(*this);
}

Delegate::~Delegate() { ballot_->leave(*this); }

const Acquire::Held* Delegate::held() const noexcept {
  return std::get_if<Acquire::Held>(&approach_->machine().outcome());
}

QuorumLease::Part Delegate::begin_lease(Instant now) noexcept {
  Approach::Begun begun = approach_->begin(*held(), now);
  return {.server = server_, .lease = std::move(begun.lease), .turn = begun.turn};
}

void Delegate::give_back(const QuorumLease::Part& part) noexcept {
  engine::give_back(session_, part.lease, part.turn, {});
}

/// What was asked and not answered is given back by the Approach.
void Delegate::over(End end) noexcept {
  if (end == End::abandoned) {
    try {
      note_trouble({route::Failure::Kind::exhausted, route::out_of_memory}, session_.now());
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): its server is taken for one that does not answer
    }
  }
  ballot_->leave(*this);
  if (held() != nullptr && !approach_->has_begun()) give_back(begin_lease(session_.now()));
  approach_.reset();
  bell_.lead_to(nullptr);
}

/// `next`: returns what the conversation wants next.
template <class Next>
route::Procedure::Step Delegate::converse(const Next& next, Instant now) try {
  return go_on(next(approach_->conversation()), now);
} catch (...) {
  approach_->note_broken();
  throw;
}

route::Procedure::Step Delegate::start(Instant now) {
  if (ballot_->is_closed()) return Done{};
  return converse([&](Conversation& talk) { return talk.start(now); }, now);
}

route::Procedure::Step Delegate::resume(Event&& event, Instant now) {
  const auto* const woken = std::get_if<Woken>(&event);
  const bool link_broke = woken != nullptr && woken->link_broke;
  if (has_vote_) return keep_vote(link_broke, now);
  if (is_too_young_) return wait_for_age(link_broke, now);
  if (question_) {
    if (woken != nullptr && ballot_->is_closed()) return Done{};
    return question_on(question_->conversation.resume(std::move(event), now), now);
  }
  if (std::holds_alternative<Answered>(event)) ballot_->note_round_trip(*this, now - sent_at_);
  // What is under way is not disturbed: its answer says what there is to be given back.
  if (woken != nullptr && ballot_->is_closed()) return Done{};
  return converse([&](Conversation& talk) { return talk.resume(std::move(event), now); }, now);
}

route::Procedure::Step Delegate::go_on(Step step, Instant now) {
  if (std::holds_alternative<Done>(step)) return conclude(now);
  if (std::holds_alternative<Send>(step)) sent_at_ = now;
  const auto* const sleep = std::get_if<Sleep>(&step);
  const bool waits_out = std::holds_alternative<Leave>(step) || (sleep != nullptr && !sleep->listens);
  if (waits_out && approach_->conversation().trouble()) {
    note_trouble(*approach_->conversation().trouble(), now);
  } else if (sleep != nullptr && sleep->listens) {
    ballot_->note_waits(*this, now);
  }
  return step;
}

void Delegate::note_trouble(const route::Failure& failure, Instant now, std::string code) {
  if (failure.kind == route::Failure::Kind::unreachable) roll_->forget(server_);
  ballot_->note_trouble(*this, {.server = server_, .failure = failure, .code = std::move(code)}, now);
}

route::Procedure::Step Delegate::conclude(Instant now) {
  const Acquire& machine = approach_->machine();
  session_.contended(approach_->key()) = machine.met_others();
  if (const auto& failure = approach_->conversation().failure()) {
    note_trouble(*failure, now);
  } else if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
    note_trouble({route::Failure::Kind::refused, refused->text}, now, refused->code);
  } else if (is_stranger()) {
    return question(now);
  } else if (roll_->is_twin(server_)) {
    note_trouble({route::Failure::Kind::unusable, "it is there twice"}, now);
  } else if (const auto* const is_held = held()) {
    return judge_vote(*is_held, now);
  } else {
    ballot_->note_taken(*this, std::holds_alternative<Acquire::Full>(machine.outcome()), now);
  }
  return Done{};
}

// ---- who it is ------------------------------------------------------------------------------------------------------

bool Delegate::is_stranger() const noexcept { return !roll_->knows(server_, approach_->conversation().link()); }

/// What it has answered so far waits.
route::Procedure::Step Delegate::question(Instant now) {
  question_.emplace(session_);
  return question_on(question_->conversation.start(now), now);
}

/// If there was another connection meanwhile, then the vote that came on the one before is to be asked for again.
route::Procedure::Step Delegate::question_on(const Step& step, Instant now) {
  if (!std::holds_alternative<Done>(step)) return step;
  const std::uint64_t link = question_->conversation.link();
  if (const auto failure = question_->conversation.failure()) {
    note_trouble(*failure, now);
    return Done{};
  }
  roll_->note(server_, link, question_->machine.outcome(), now);
  question_.reset();
  return held() != nullptr && link != approach_->conversation().link() ? ask_again(now) : conclude(now);
}

route::Procedure::Step Delegate::judge_vote(const Acquire::Held& held, Instant now) {
  const Instant from = roll_->votes_from(server_);
  if (from == Instant::max()) {
    const protocol::Refusal why = roll_->refusal(server_);
    note_trouble({route::Failure::Kind::refused, "QuorumOptions::grace needs its INFO: " + why.text}, now, why.code);
    return Done{};
  }
  if (from <= now) return ballot_->note_held(*this, held, now) ? keep_vote(false, now) : Step{Done{}};
  note_trouble({route::Failure::Kind::turned_away,
                "it was started less than QuorumOptions::grace ago, " + std::to_string(roll_->grace().count()) + " ms"},
               now);
  return wait_for_age(false, now);
}

/// The vote is kept meanwhile, if somebody waits for more.
route::Procedure::Step Delegate::wait_for_age(bool link_broke, Instant now) {
  is_too_young_ = true;
  if (!ballot_->is_waiting()) return Done{};
  const Instant from = roll_->votes_from(server_);
  if (!link_broke && now < from) return Sleep{.until = from, .listens = true};
  is_too_young_ = false;
  return ask_again(now);
}

// ---- the vote -------------------------------------------------------------------------------------------------------

route::Procedure::Step Delegate::keep_vote(bool link_broke, Instant now) {
  using What = Ballot::Order::What;
  has_vote_ = true;
  const Ballot::Order order = ballot_->order(*this, link_broke, now);
  switch (order.what) {
    case What::keep: return Sleep{.until = order.until, .listens = true};
    case What::ask_again: return ask_again(now);
    default: return Done{};
  }
}

route::Procedure::Step Delegate::ask_again(Instant now) {
  has_vote_ = false;
  return converse([this](Conversation& /*talk*/) { return approach_->yield(); }, now);
}

}  // namespace redismutex::engine
