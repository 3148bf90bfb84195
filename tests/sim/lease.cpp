#include "sim/lease.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "protocol/lease.hpp"
#include "protocol/release.hpp"
#include "sim/process.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;
using protocol::Extend;
using protocol::Instant;
using protocol::Release;
using std::chrono::milliseconds;

Lease::Lease(Process& process, Bell& bell, int client, const protocol::Key& key, protocol::OwnerId id,
             milliseconds expiry, const protocol::Acquire::Held& held)
    : process_{process},
      bell_{bell},
      client_{client},
      key_{key},
      id_{std::move(id)},
      expiry_{expiry},
      token_{held.token},
      valid_until_{held.valid_until},
      claim_{held.claimed},
      asked_at_{process.now()} {}

bool Lease::valid() const { return process_.now() < valid_until_; }

// ---- the record -----------------------------------------------------------------------------------------------------

std::string Lease::turn() const {
  return all_passes_ == 0 ? id_.text() : id_.text() + "+" + std::to_string(all_passes_);
}

void Lease::record(Event::Kind kind, Instant until, std::string note) const {
  process_.world().record({.kind = kind,
                           .client = client_,
                           .key = key_.text(),
                           .id = turn(),
                           .until = until == Instant{} ? process_.world().now() : process_.clock().when(until),
                           .note = std::move(note),
                           .token = kind == Event::Kind::inside ? token_ : 0});
}

void Lease::set_valid_until(Instant until) {
  if (until == valid_until_) return;
  valid_until_ = until;
  if (inside_) record(Event::Kind::lease, until);
}

// ---- inside ---------------------------------------------------------------------------------------------------------

void Lease::enter(bool watched) {
  inside_ = true;
  record(Event::Kind::inside, valid_until_, watched ? "watched" : "");
  process_.spawn(tell_of_the_end(shared_from_this()));
}

/// As Tenure::look_for_loss.
Task<> Lease::tell_of_the_end(std::shared_ptr<Lease> lease) {
  Process& process = lease->process_;
  Bell bell{process.world(), process};
  const std::string turn = lease->turn();
  while (lease->inside_ && lease->turn() == turn) {
    if (!lease->valid()) {
      lease->lose();
      co_return;
    }
    co_await process.sleep(bell, process.clock().when(lease->valid_until_));
  }
}

void Lease::lose() {
  if (!inside_ || std::exchange(lost_, true)) return;
  record(Event::Kind::lost);
  bell_.ring();
}

void Lease::leave() {
  inside_ = false;
  record(Event::Kind::release);
}

// ---- extension ------------------------------------------------------------------------------------------------------

void Lease::confirm() {
  if (!claim_ || process_.world().mutant == Mutant::never_extends_claim) return;
  extend_in_passing();
  process_.spawn(see_to_claim(shared_from_this()));
}

void Lease::extend_in_passing() {
  asked_at_ = process_.now();
  auto machine = std::make_shared<Extend>(key_, id_, Extend::Terms{.expiry = expiry_, .token = token_});
  auto call = std::make_shared<Call>();
  const Instant sent_at = process_.now();
  call->on_reply = [weak = weak_from_this(), machine, sent_at, answer = call.get()] {
    const auto lease = weak.lock();
    if (!lease || lease->ended_) return;
    lease->extending_in_passing_ = false;
    machine->answered(lease->process_.view({answer->reply, sent_at}));
    lease->conclude_extension(*machine);
  };
  extending_in_passing_ = process_.post(std::get<protocol::Request>(machine->start(sent_at)), call);
}

/// The extension under way may get lost: then another is sent.
Task<> Lease::see_to_claim(std::shared_ptr<Lease> lease) {
  Process& process = lease->process_;
  Bell bell{process.world(), process};
  const Instant here = process.now();
  co_await process.sleep(bell, process.clock().when(here + (lease->valid_until_ - here) / 4));
  if (lease->ended_ || !lease->claim_ || !lease->valid()) co_return;
  Extend machine{lease->key_, lease->id_, {.expiry = lease->expiry_, .token = lease->token_}};
  const auto failure = co_await process.run(bell, machine, process.clock().when(lease->valid_until_));
  if (!failure && !lease->ended_ && lease->claim_) lease->conclude_extension(machine);
}

void Lease::conclude_extension(const Extend& machine) {
  const Extend::Terms& terms = machine.terms();
  const bool exact = terms.longer == protocol::Longer::goes;
  if (exact && !machine.in_doubt()) shortest_expected_ = milliseconds::max();
  if (const auto* extended = std::get_if<Extend::Extended>(&machine.outcome())) {
    if (exact) set_valid_until(protocol::valid_until(extended->sent_at, terms.expiry));
    conclude_renewal(terms.expiry, *extended);
  } else if (std::holds_alternative<Extend::Gone>(machine.outcome())) {
    note_gone();
  }
}

void Lease::conclude_renewal(milliseconds expiry, const Extend::Extended& extended) {
  set_valid_until(
      std::max(valid_until_, protocol::valid_until(extended.sent_at, std::min(expiry, shortest_expected_))));
  claim_ = false;
  waiting_elsewhere_ = extended.waiting;
  passes_ = waiting_elsewhere_ > 0 ? std::max(passes_, 1) : 0;
}

void Lease::note_gone() {
  set_valid_until(Instant{});
  claim_ = false;
  lose();
}

Task<> Lease::extend(milliseconds expiry, protocol::Tracking tracking) {
  const Instant old_until = valid_until_;
  shortest_expected_ = std::min(shortest_expected_, expiry);
  set_valid_until(std::min(valid_until_, protocol::valid_until(process_.now(), expiry)));
  Extend machine{
      key_, id_, {.expiry = expiry, .longer = protocol::Longer::goes, .token = token_, .tracking = tracking}};
  const Time deadline = std::min(process_.patience(), process_.clock().when(old_until));
  const auto failure = co_await process_.run(bell_, machine, deadline);
  if (!failure) conclude_extension(machine);
}

// ---- the end --------------------------------------------------------------------------------------------------------

Task<> Lease::release() {
  ended_ = true;
  Release machine{key_, id_, valid_until_, token_};
  const auto failure = co_await process_.run(bell_, machine, process_.patience());
  if (failure) {
    record(Event::Kind::unclear);
  } else if (std::holds_alternative<Release::Released>(machine.outcome())) {
    record(Event::Kind::released);
  } else if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
    record(Event::Kind::unclear, {}, refused->code);
  } else {
    record(Event::Kind::gone);
  }
}

bool Lease::pass(int most) {
  const Instant here = process_.now();
  const auto left = valid_until_ - here;
  if (lost_ || left < expiry_ / 10 || (waiting_elsewhere_ > 0 && passes_ >= most)) return false;
  const bool curious = waiting_elsewhere_ == 0 && here - asked_at_ >= 1ms;
  if (!extending_in_passing_ && (curious || left < expiry_ * 9 / 10)) extend_in_passing();
  record(Event::Kind::released, {}, "passed-on");
  ++passes_;
  ++all_passes_;
  if (token_ != 0) ++token_;
  record(Event::Kind::want);
  return true;
}

}  // namespace redismutex::sim
