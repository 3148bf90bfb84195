#include "sim/lease.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "protocol/lease.hpp"
#include "protocol/release.hpp"
#include "sim/clean_up.hpp"
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
      handed_over_{held.claimed},
      token_is_ahead_{held.token_is_ahead && process.world().mutant != Mutant::counts_tokens_ahead},
      details_{held.details},
      validity_{held.valid_until, held.claimed},
      asked_at_{process.now()} {}

bool Lease::valid() const { return process_.now() < validity_.until(); }

// ---- the record -----------------------------------------------------------------------------------------------------

std::string Lease::turn() const {
  const std::string id{id_.text()};
  return all_passes_ == 0 ? id : id + "+" + std::to_string(all_passes_);
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

void Lease::note_validity(Instant before) const {
  if (inside_ && validity_.until() != before) record(Event::Kind::lease, validity_.until());
}

// ---- inside ---------------------------------------------------------------------------------------------------------

void Lease::enter(bool watched) {
  inside_ = true;
  const bool is_told = watched && process_.watches_holds();
  tracking_ = is_told ? protocol::Tracking::on : protocol::Tracking::off;
  record(Event::Kind::inside, valid_until(), is_told ? "watched" : "");
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
    co_await process.sleep(bell, process.clock().when(lease->valid_until()));
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
  if (!validity_.is_claim() || process_.world().mutant == Mutant::never_extends_claim) return;
  process_.spawn(see_to_claim(shared_from_this()));
}

void Lease::extend_in_passing(protocol::Tracking tracking) {
  asked_at_ = process_.now();
  const Extend::Terms terms{.expiry = expiry_, .tracking = tracking};
  auto machine = std::make_shared<Extend>(key_, id_, terms);
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

/// As engine::Hold::see_to_claim.
Task<> Lease::see_to_claim(std::shared_ptr<Lease> lease) {
  Process& process = lease->process_;
  Bell bell{process.world(), process};
  const Instant here = process.now();
  const Instant::duration left = lease->valid_until() - here;
  co_await process.sleep(bell, process.clock().when(here + protocol::confirm_after(left)));
  if (lease->ended_ || !lease->validity_.is_claim()) co_return;
  if (!lease->extending_in_passing_) lease->extend_in_passing(lease->tracking_);
  co_await process.sleep(bell, process.clock().when(here + left / 4));
  if (lease->ended_ || !lease->validity_.is_claim() || !lease->valid()) co_return;
  Extend machine{lease->key_, lease->id_, {.expiry = lease->expiry_, .tracking = lease->tracking_}};
  const auto failure = co_await process.run(bell, machine, process.clock().when(lease->valid_until()));
  if (!failure && !lease->ended_ && lease->validity_.is_claim()) lease->conclude_extension(machine);
}

void Lease::conclude_extension(const Extend& machine) {
  const Instant before = validity_.until();
  validity_.conclude(machine, process_.now());
  note_validity(before);
  if (const auto* extended = std::get_if<Extend::Extended>(&machine.outcome())) {
    note_waiting(extended->waiting);
  } else if (std::holds_alternative<Extend::Gone>(machine.outcome())) {
    lose();
  }
}

void Lease::conclude_renewal(milliseconds expiry, const Extend::Extended& extended) {
  const Instant before = validity_.until();
  validity_.renewed(expiry, extended.sent_at);
  note_validity(before);
  note_waiting(extended.waiting);
}

void Lease::note_waiting(std::int64_t elsewhere) {
  waiting_elsewhere_ = elsewhere;
  passes_ = waiting_elsewhere_ > 0 ? std::max(passes_, 1) : 0;
}

void Lease::note_gone() {
  const Instant before = validity_.until();
  validity_.gone();
  note_validity(before);
  lose();
}

Task<> Lease::extend(milliseconds expiry) {
  const Instant before = validity_.until();
  const Extend::Terms terms{.expiry = expiry, .longer = protocol::Longer::goes, .tracking = tracking_};
  validity_.begin(terms, process_.now());
  note_validity(before);
  Extend machine{key_, id_, terms};
  const Time deadline = std::min(process_.patience(), process_.clock().when(before));
  const auto failure = co_await process_.run(bell_, machine, deadline);
  if (!failure) conclude_extension(machine);
}

// ---- the end --------------------------------------------------------------------------------------------------------

Task<> Lease::release() {
  ended_ = true;
  Release machine{key_, id_, release_terms()};
  const auto failure = co_await process_.run(bell_, machine, process_.patience());
  if (machine.more()) clean_up(process_, {.key = key_, .id = id_, .until = validity_.until(), .token = token_});
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

Release::Terms Lease::release_terms() const {
  const bool contended = waiting_elsewhere_ > 0 || process_.contended(key_);
  const bool plain = !contended && !handed_over_ && token_ == 0;
  return {.valid_until = validity_.until(),
          .token = token_,
          .details = details_,
          .waiters = contended ? Release::Waiters::likely : Release::Waiters::none_known,
          .deletion = plain ? process_.deletion() : Release::Deletion::by_script};
}

bool Lease::pass(int most) {
  const Instant here = process_.now();
  const auto left = valid_until() - here;
  if (lost_ || left < std::min<Instant::duration>(expiry_ / 10, 100ms) || (waiting_elsewhere_ > 0 && passes_ >= most))
    return false;
  if (token_is_ahead_) return false;
  const bool curious = waiting_elsewhere_ == 0 && here - asked_at_ >= 1ms;
  if (!extending_in_passing_ && (curious || left < expiry_ * 9 / 10)) extend_in_passing(protocol::Tracking::off);
  record(Event::Kind::released, {}, "passed-on");
  ++passes_;
  ++all_passes_;
  if (token_ != 0) ++token_;
  record(Event::Kind::want);
  return true;
}

}  // namespace redismutex::sim
