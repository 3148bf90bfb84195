#include "engine/lease.hpp"

#include <algorithm>
#include <redismutex/errors.hpp>
#include <utility>
#include <variant>

#include "engine/clock.hpp"
#include "engine/report.hpp"
#include "engine/session.hpp"
#include "protocol/fencing.hpp"
#include "protocol/lease.hpp"
#include "protocol/release.hpp"

namespace redismutex::engine {
namespace {

using protocol::Extend;
using protocol::Instant;

constexpr Instant long_past{};

// While threads pass a lease on, the server is asked this often whether somebody waits there; that also keeps it fresh.
constexpr std::chrono::milliseconds between_questions{1};

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
  if (link_) link_->forget(call_);
}

PendingExtension::State PendingExtension::look() {
  if (!link_->has_reply(call_)) link_->take_in_arrived();
  if (!link_->has_reply(call_)) return link_->broken() ? State::void_ : State::pending;
  // A refusal leaves the lease as it was.
  machine_.answered(detail::view({call_.take_reply(), sent_at_}));
  return std::holds_alternative<protocol::Refusal>(machine_.outcome()) ? State::void_ : State::answered;
}

// ---- the lease ------------------------------------------------------------------------------------------------------

Lease::Lease(Session& session, const protocol::Key& key, protocol::OwnerId id, std::chrono::milliseconds expiry,
             const protocol::Acquire::Held& held)
    : session_{session},
      key_{key},
      id_{std::move(id)},
      expiry_{expiry},
      token_{held.token},
      last_token_{held.token + protocol::reserved_tokens},
      valid_until_{held.valid_until},
      claim_{held.claimed},
      asked_at_{now()} {
  // The caller can start at once: the answer is looked at when it matters.
  if (claim_) extend_in_passing(expiry);
}

Lease::~Lease() = default;

Instant Lease::valid_until() {
  settle();
  return valid_until_;
}

bool Lease::is_claim() {
  settle();
  return claim_;
}

void Lease::settle() {
  if (!extension_) return;
  const PendingExtension::State state = extension_->look();
  if (state == PendingExtension::State::pending) return;
  if (state == PendingExtension::State::answered) conclude_extension(extension_->machine());
  extension_.reset();
}

void Lease::extend_in_passing(std::chrono::milliseconds expiry) {
  asked_at_ = now();
  expiry_ = expiry;
  extension_ = PendingExtension::send(session_, key_, id_, {.expiry = expiry, .token = token_ != 0 ? token_ + protocol::reserved_in_passing : 0});
}

Instant Lease::begin_extension(const Extend::Terms& terms) {
  const Instant old_until = valid_until();
  if (terms.longer == protocol::Longer::goes) {
    shortest_expected_ = std::min(shortest_expected_, terms.expiry);
    valid_until_ = std::min(valid_until_, protocol::valid_until(now(), terms.expiry));
  }
  return old_until;
}

void Lease::conclude_extension(const Extend& machine) {
  const Extend::Terms& terms = machine.terms();
  const bool exact = terms.longer == protocol::Longer::goes;
  if (exact && !machine.in_doubt()) shortest_expected_ = std::chrono::milliseconds::max();
  if (const auto* extended = std::get_if<Extend::Extended>(&machine.outcome())) {
    if (exact) valid_until_ = protocol::valid_until(extended->sent_at, terms.expiry);
    last_token_ = std::max(last_token_, terms.token);
    conclude_renewal(terms.expiry, *extended);
  } else if (std::holds_alternative<Extend::Gone>(machine.outcome())) {
    note_gone();
  }
}

void Lease::conclude_renewal(std::chrono::milliseconds expiry, const Extend::Extended& extended) {
  const Instant until = protocol::valid_until(extended.sent_at, std::min(expiry, shortest_expected_));
  valid_until_ = std::max(valid_until_, until);
  claim_ = false;
  waiting_elsewhere_ = extended.waiting;
  // Whoever waits there came before the answer: the passes since the question count.
  passes_ = waiting_elsewhere_ > 0 ? std::max(passes_, 1) : 0;
}

void Lease::note_gone() noexcept {
  valid_until_ = long_past;
  claim_ = false;
}

void Lease::release() {
  const std::string action = report::action("release", key_);
  protocol::Release machine{key_, id_, valid_until_};
  const auto failure = session_.run(machine, session_.patience());
  if (failure && machine.in_doubt()) {
    report::raise_unknown(session_, action, *failure, "if it is not released, its lease ends by itself");
  }
  if (failure) report::raise(session_, action, *failure);
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
    report::raise(session_, action, *refused);
  }
  if (std::holds_alternative<protocol::Release::Gone>(machine.outcome())) {
    throw MutexUnlockError{report::cannot(session_, action, report::was_lost)};
  }
}

bool Lease::may_be_passed(int most) {
  const Instant here = now();
  const auto left = valid_until() - here;
  if (left < expiry_ / 10) return false;  // the next one could hardly start
  if (waiting_elsewhere_ > 0 && passes_ >= most) return false;
  if (token_ != 0 && token_ >= last_token_) return false;
  const bool curious = waiting_elsewhere_ == 0 && here - asked_at_ >= between_questions;
  const bool short_of_tokens = token_ != 0 && last_token_ - token_ < protocol::reserved_tokens / 2;
  if (!extension_ && (curious || short_of_tokens || left < expiry_ * 9 / 10)) extend_in_passing(expiry_);
  return true;
}

void Lease::note_pass() noexcept {
  ++passes_;
  if (token_ != 0) ++token_;
}

}  // namespace redismutex::engine
