#include "engine/acquisition.hpp"

#include <redismutex/errors.hpp>
#include <redismutex/observer.hpp>
#include <utility>
#include <variant>

#include "engine/clean_up.hpp"
#include "engine/clock.hpp"
#include "engine/entropy.hpp"
#include "engine/report.hpp"

namespace redismutex::engine {
namespace {

using protocol::Acquire;
using Turn = LocalQueues::Turn;

}  // namespace

Acquisition::Acquisition(const std::shared_ptr<Session>& session, protocol::Key key, const Options& options)
    : session_{session}, key_{std::move(key)}, options_{options}, expiry_{*options.expiry}, started_{now()} {}

std::unique_ptr<Hold> Acquisition::attempt(const std::stop_token& stop) {
  return hold(ask_server(std::nullopt, stop), std::nullopt);
}

std::unique_ptr<Hold> Acquisition::wait(std::chrono::milliseconds limit, const std::stop_token& stop) {
  const protocol::Instant until = started_ + limit;
  if (options_.local_handoffs > 0) return take_turn(until, stop);
  return hold(ask_server(until, stop), std::nullopt);
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
  try {
    std::unique_ptr<Lease> lease = std::move(turn.lease);
    if (lease && lease->valid_until() <= now()) lease.reset();
    if (lease && options_.fencing && lease->token() == 0) give_up(std::exchange(lease, nullptr));
    if (lease && lease->expiry() != expiry_) lease->extend_in_passing(expiry_);
    if (!lease) lease = ask_server(wait_until, stop);
    if (lease) return hold(std::move(lease), turn.ticket);
  } catch (...) {
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
  const auto failure = session_->run(machine, deadline, stop, &box, [this] {
    session_->posts().get_ready();  // see Hold::see_to_claim()
    note_contention();
  });
  if (contended.load(std::memory_order_relaxed) != machine.met_others()) contended = machine.met_others();
  if (machine.left_traces()) {
    clean_up(*session_, {.key = key_,
                         .id = id,
                         .until = now() + expiry_,
                         .details = machine.details(),
                         .former_details = machine.former_details()});
  }
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
}

std::unique_ptr<Hold> Acquisition::hold(std::unique_ptr<Lease> lease, std::optional<LocalQueues::Ticket> ticket) {
  session_->survey();
  if (!lease) return nullptr;
  auto made = std::make_unique<Hold>(session_, std::move(lease), std::move(ticket), options_);
  if (Observer* observer = session_->observer()) observer->acquired(key_.text(), now() - started_);
  return made;
}

void Acquisition::note_contention() {
  if (std::exchange(contention_noted_, true)) return;
  if (Observer* observer = session_->observer()) observer->contended(key_.text());
}

/// A lease without a fencing token, from a thread that did not want one.
void Acquisition::give_up(std::unique_ptr<Lease> lease) {
  try {
    lease->release();
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch): it is not ours any more, or will not be for long
  }
}

std::string Acquisition::taken(std::string_view why) const {
  return report::cannot(*session_, report::Action{"acquire", key_}, why);
}

}  // namespace redismutex::engine
