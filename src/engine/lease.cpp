#include "engine/lease.hpp"

#include <algorithm>
#include <new>
#include <redismutex/errors.hpp>
#include <thread>
#include <utility>
#include <variant>

#include "engine/clock.hpp"
#include "engine/report.hpp"
#include "engine/session.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {
namespace {

using protocol::Extend;
using protocol::Instant;

// While threads pass a lease on, the server is asked this often whether somebody waits there; that also keeps it fresh.
constexpr std::chrono::milliseconds between_questions{1};

// With so much of a lease, or a tenth of it, the next thread could hardly start.
constexpr std::chrono::milliseconds too_little{100};

}  // namespace

// ---- extensions that nobody waits for -------------------------------------------------------------------------------

std::unique_ptr<PendingExtension> PendingExtension::send(Session& session, const protocol::Key& key,
                                                         const protocol::OwnerId& id, const Extend::Terms& terms) {
  std::unique_ptr<PendingExtension> made{new PendingExtension{key, id, terms}};
  made->sent_at_ = now();
  const protocol::Step step = made->machine_.start(made->sent_at_);
  made->link_ = session.post(std::get<protocol::Request>(step), made->call_);
  return made->link_ ? std::move(made) : nullptr;
}

PendingExtension::~PendingExtension() {
  if (!link_ || link_->withdraw(call_)) return;
  while (!call_.over) std::this_thread::yield();  // the thread that has its answer tells so in this moment
}

PendingExtension::State PendingExtension::look() {
  if (!call_.over) return State::pending;
  if (!call_.answered()) return State::failed;
  // A refusal leaves the lease as it was.
  machine_.answered(detail::view({call_.take_reply(), sent_at_}));
  return std::holds_alternative<protocol::Refusal>(machine_.outcome()) ? State::failed : State::answered;
}

// ---- the lease ------------------------------------------------------------------------------------------------------

Lease::Lease(Session& session, protocol::Key key, protocol::OwnerId id, std::chrono::milliseconds expiry,
             const protocol::Acquire::Held& held)
    : session_{session},
      key_{std::move(key)},
      id_{id},
      expiry_{expiry},
      token_{held.token},
      handed_over_{held.claimed},
      token_is_ahead_{held.token_is_ahead},
      details_{held.details},
      validity_{held.valid_until, held.claimed},
      asked_at_{now()} {}

Lease::~Lease() = default;

Instant Lease::valid_until() {
  settle();
  return validity_.until();
}

bool Lease::is_claim() {
  settle();
  return validity_.is_claim();
}

void Lease::confirm(protocol::Tracking tracking) {
  if (is_claim() && !extension_ && !validity_.may_shorten()) extend_in_passing(expiry_, tracking);
}

bool Lease::settle() {
  if (!extension_) return false;
  const PendingExtension::State state = extension_->look();
  if (state == PendingExtension::State::pending) return false;
  const bool answered = state == PendingExtension::State::answered;
  if (answered) conclude_extension(extension_->machine());
  extension_.reset();
  return answered;
}

void Lease::extend_in_passing(std::chrono::milliseconds expiry, protocol::Tracking tracking) {
  asked_at_ = now();
  expiry_ = expiry;
  extension_ = PendingExtension::send(session_, key_, id_, {.expiry = expiry, .tracking = tracking});
}

Instant Lease::begin_extension(const Extend::Terms& terms) {
  const Instant old_until = valid_until();
  validity_.begin(terms, now());
  return old_until;
}

void Lease::conclude_extension(const Extend& machine) {
  validity_.conclude(machine, now());
  const auto* extended = std::get_if<Extend::Extended>(&machine.outcome());
  if (extended == nullptr) return;
  note_waiting(extended->waiting);
}

void Lease::conclude_renewal(std::chrono::milliseconds expiry, const Extend::Extended& extended) {
  validity_.renewed(expiry, extended.sent_at);
  note_waiting(extended.waiting);
}

void Lease::note_gone() noexcept { validity_.gone(); }

/// Whoever waits there came before the answer: the passes since the question count.
void Lease::note_waiting(std::int64_t elsewhere) {
  waiting_elsewhere_ = elsewhere;
  passes_ = waiting_elsewhere_ > 0 ? std::max(passes_, 1) : 0;
}

void Lease::release() try { give_back(); } catch (const std::bad_alloc&) {
  // Whether it was sent is unknown. Nobody is to wait for the end of the lease all the same.
  clean_up_at_once(session_, remains());
  throw;
}

Remains Lease::remains() const { return {.key = key_, .id = id_, .until = validity_.until(), .token = token_}; }

void Lease::give_back() {
  const report::Action action{"release", key_};
  protocol::Release machine{key_, id_, release_terms()};
  const auto failure = session_.run(machine, session_.patience());
  if (machine.deletion_refused()) session_.note_deletion_refused();
  // What fails after the release is done concerns only those who wait.
  const bool released = std::holds_alternative<protocol::Release::Released>(machine.outcome());
  if (failure && !released) {
    if (!machine.in_doubt()) report::raise(session_, action, *failure);
    report::raise_unknown(session_, action, *failure, "if it is not released, its lease ends by itself");
  }
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
    report::raise(session_, action, *refused);
  }
  if (std::holds_alternative<protocol::Release::Gone>(machine.outcome())) {
    throw MutexUnlockError{report::cannot(session_, action, report::was_lost)};
  }
  if (machine.more()) clean_up(session_, remains());
}

protocol::Release::Terms Lease::release_terms() const {
  using Release = protocol::Release;
  const bool contended = waiting_elsewhere_ > 0 || session_.contended(key_);
  // The server's own command knows no line, and keeps no token.
  const bool plain = !contended && !handed_over_ && token_ == 0;
  return {.valid_until = validity_.until(),
          .token = token_,
          .details = details_,
          .waiters = contended ? Release::Waiters::likely : Release::Waiters::none_known,
          .deletion = plain ? session_.deletion() : Release::Deletion::by_script};
}

bool Lease::may_be_passed(int most) {
  const Instant here = now();
  const auto left = valid_until() - here;
  if (left < std::min(expiry_ / 10, too_little)) return false;
  if (waiting_elsewhere_ > 0 && passes_ >= most) return false;
  if (token_is_ahead_) return false;  // it may not be counted up
  const bool curious = waiting_elsewhere_ == 0 && here - asked_at_ >= between_questions;
  if (!extension_ && (curious || left < expiry_ * 9 / 10)) extend_in_passing(expiry_);
  return true;
}

void Lease::note_pass() noexcept {
  ++passes_;
  if (token_ != 0) ++token_;
}

}  // namespace redismutex::engine
