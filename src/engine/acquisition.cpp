#include "engine/acquisition.hpp"

#include <new>
#include <redismutex/errors.hpp>
#include <redismutex/observer.hpp>
#include <system_error>
#include <utility>
#include <variant>

#include "engine/clock.hpp"
#include "engine/entropy.hpp"
#include "engine/report.hpp"

namespace redismutex::engine {
namespace {

using protocol::Acquire;
using Turn = LocalQueues::Turn;

}  // namespace

Acquisition::Acquisition(std::shared_ptr<Session> session, protocol::Key key, const Options& options)
    : session_{std::move(session)},
      key_{std::move(key)},
      options_{options},
      expiry_{*options.expiry},
      started_{now()} {}

std::unique_ptr<Hold> Acquisition::attempt(const std::stop_token& stop) try {
  return hold(ask_server(std::nullopt, stop), std::nullopt);
} catch (const std::system_error& error) {
  raise_exhausted(error);
}

std::unique_ptr<Hold> Acquisition::wait(std::chrono::milliseconds limit, const std::stop_token& stop) try {
  const protocol::Instant until = started_ + limit;
  if (options_.local_handoffs > 0) return take_turn(until, stop);
  return hold(ask_server(until, stop), std::nullopt);
} catch (const std::system_error& error) {
  raise_exhausted(error);
}

void Acquisition::raise_exhausted(const std::system_error& error) const {
  report::raise(*session_, report::Action{"acquire", key_}, {net::Failure::Kind::exhausted, error.code().message()});
}

/// First the line of this process's own threads, then the server.
std::unique_ptr<Hold> Acquisition::take_turn(protocol::Instant wait_until, const std::stop_token& stop) {
  std::function<void()> on_wait;
  if (session_->observer() != nullptr) on_wait = [this] { note_contention(); };
  Turn turn = session_->local_queues().enter(key_, deadline_at(wait_until), stop, on_wait);
  if (turn.kind == Turn::Kind::timed_out) return nullptr;
  if (turn.kind == Turn::Kind::stopped) {
    report::raise(*session_, report::Action{"acquire", key_}, {net::Failure::Kind::cancelled, "cancelled"});
  }
  std::unique_ptr<Lease> lease = std::move(turn.lease);
  try {
    if (lease && lease->valid_until() <= now()) lease.reset();
    if (lease && options_.fencing && lease->token() == 0) give_up(std::exchange(lease, nullptr));
    if (lease && lease->expiry() != expiry_) lease->extend_in_passing(expiry_);
    if (!lease) lease = ask_server(wait_until, stop);
    if (lease) return hold(std::move(lease), turn.ticket);
  } catch (...) {
    if (session_->inherited()) throw;
    give_up(std::move(lease));
    LocalQueues::leave(turn.ticket);
    throw;
  }
  LocalQueues::leave(turn.ticket);
  return nullptr;
}

std::unique_ptr<Lease> Acquisition::ask_server(std::optional<protocol::Instant> wait_until,
                                               const std::stop_token& stop) {
  const net::Deadline deadline = wait_until ? deadline_at(*wait_until) : session_->patience();
  const auto tag = session_->tag(deadline, stop);
  if (const auto* failure = std::get_if<net::Failure>(&tag)) {
    report::raise(*session_, report::Action{"acquire", key_}, *failure);
  }
  const protocol::OwnerId id = new_owner_id(std::get<protocol::Tag>(tag));
  std::atomic<bool>& contended = session_->contended(key_);
  const std::string mailbox = session_->mailbox();
  Acquire machine{key_,
                  id,
                  {.expiry = expiry_,
                   .wait_until = wait_until,
                   .delay = *options_.delay,
                   .max_waiters = options_.max_waiters,
                   .fencing = options_.fencing ? protocol::Fencing::with_token : protocol::Fencing::without_token,
                   .mailbox = mailbox,
                   .expect_line = contended.load(std::memory_order_relaxed)}};
  Mailroom::Box box{session_->mailroom(), key_, id};
  // What will be needed to renew is there before anything is sent.
  if (options_.auto_renew) session_->watch_over_leases();
  try {
    const auto failure = session_->run(machine, deadline, stop, &box, [this] {
      get_ready_for_claim();
      note_contention();
    });
    if (contended.load(std::memory_order_relaxed) != machine.met_others()) contended = machine.met_others();
    if (machine.left_traces()) clean_up(*session_, remains(machine, id));
    if (failure && failure->kind == net::Failure::Kind::timed_out && machine.met_others()) return nullptr;
    if (failure) report::raise(*session_, report::Action{"acquire", key_}, *failure);
    if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
      report::raise(*session_, report::Action{"acquire", key_}, *refused);
    }
    if (std::holds_alternative<Acquire::Full>(machine.outcome())) {
      throw MutexLockError{
          taken("Options::max_waiters, " + std::to_string(options_.max_waiters) + ", are waiting for it already")};
    }
    const auto* held = std::get_if<Acquire::Held>(&machine.outcome());
    return held != nullptr ? std::make_unique<Lease>(*session_, key_, id, expiry_, *held) : nullptr;
  } catch (const Error&) {  // an outcome: whatever had to be given back is
    throw;
  } catch (...) {  // no memory, no thread
    take_back(machine, id);
    throw;
  }
}

Remains Acquisition::remains(const Acquire& machine, const protocol::OwnerId& id) const {
  return {.key = key_,
          .id = id,
          .until = now() + expiry_,
          .details = machine.details(),
          .former_details = machine.former_details()};
}

/// What the server may have granted, or may grant yet, to a caller who can not have it.
void Acquisition::take_back(const Acquire& machine, const protocol::OwnerId& id) noexcept {
  try {
    clean_up_at_once(*session_, remains(machine, id));
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): it ends with its lease
  }
}

/// See Hold::see_to_claim().
void Acquisition::get_ready_for_claim() noexcept {
  try {
    session_->posts().get_ready();
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): it may do without
  }
}

std::unique_ptr<Hold> Acquisition::hold(std::unique_ptr<Lease> lease, std::optional<LocalQueues::Ticket> ticket) {
  std::unique_ptr<Hold> made;
  try {
    session_->survey();
    if (!lease) return nullptr;
    made = std::make_unique<Hold>(session_, std::move(lease), std::move(ticket), options_);
  } catch (...) {  // no thread, no memory
    give_up(std::move(lease));
    throw;
  }
  if (Observer* observer = session_->observer()) observer->acquired(key_.text(), now() - started_);
  return made;
}

void Acquisition::note_contention() {
  if (std::exchange(contention_noted_, true)) return;
  Observer* const observer = session_->observer();
  if (observer == nullptr) return;
  observer->contended(key_.text());
  if (session_->inherited()) {
    report::raise(*session_, report::Action{"acquire", key_},
                  {net::Failure::Kind::cancelled, "this process was forked while its parent waited"});
  }
}

/// A lease that is of no use to this caller, if there is one.
void Acquisition::give_up(std::unique_ptr<Lease> lease) noexcept {
  try {
    if (lease) lease->release();
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): it is not ours any more, or will not be for long
  }
}

std::string Acquisition::taken(std::string_view why) const {
  return report::cannot(*session_, report::Action{"acquire", key_}, why);
}

}  // namespace redismutex::engine
