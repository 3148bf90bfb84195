#include "net/node.hpp"

#include <algorithm>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

#include "net/pause.hpp"
#include "net/poll.hpp"
#include "net/url.hpp"
#include "net/within.hpp"

namespace redismutex::net {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::chrono::microseconds first_pause = 1ms;
constexpr std::chrono::microseconds longest_pause = 512ms;

// A server that is left so soon after it was dialled has not been of any use since: that was one more failure.
constexpr auto soon = 1s;

// For one sentinel's answer, before all are asked.
constexpr auto moment = 400ms;

}  // namespace

Node::Node(ConnectionOptions options, ReactorOnDemand& reactor, Handlers handlers, Dialler::Namer name)
    : options_{std::move(options)},
      reactor_{reactor},
      handlers_{std::move(handlers)},
      dialler_{options_, std::move(name)} {
  if (handlers_.on_replicas && dialler_.sentinels() != nullptr) dialler_.sentinels()->ask_for_replicas();
}

Node::~Node() {
  // With the lock held: a worker that leaves its attempt either has posted it by now, or does not post it any more.
  const std::lock_guard lock{mutex_};
  ending_.request_stop();
}

Node::Patience Node::patience_until(Deadline deadline, Deadline now) const {
  const Deadline longest = now + options_.connect_timeout;
  if (deadline < longest) return {deadline, within(deadline - now)};
  return {longest, within(options_.connect_timeout, "connect_timeout")};
}

std::variant<std::shared_ptr<Link>, Failure> Node::link(Deadline deadline, const std::stop_token& stop) {
  std::unique_lock lock{mutex_};
  if (link_ && !link_->broken()) return link_;

  Deadline now = steady_clock::now();
  const Patience patience = patience_until(deadline, now);
  const Deadline give_up = patience.until;
  const std::uint64_t begun_before = begun_, failed_before = failed_;
  for (;; now = steady_clock::now()) {
    if (link_ && !link_->broken()) return link_;
    // Others may have tried for us while we waited. But an attempt that was under way before and took too long says little: this
    // caller has time of its own.
    const bool is_ours = last_failure_.kind != Failure::Kind::timed_out || last_failed_ > begun_before;
    const bool tried = failed_ > failed_before && is_ours;
    if (tried && (last_failure_.permanent() || !reached_before_)) return last_failure_;
    if (stop.stop_requested()) return Failure{Failure::Kind::cancelled, "cancelled"};
    if (now >= give_up) {
      if (tried || last_failure_.kind == Failure::Kind::refused) return last_failure_;
      const std::string why = failures_ == 0 ? "" : ": " + last_failure_.text;
      return Failure{Failure::Kind::timed_out, "no connection" + patience.in_words + why};
    }
    if (dialling_) {
      changed_.wait_until(lock, stop, give_up, [this] { return !dialling_; });
      continue;
    }
    if (link_) plan_next_attempt();
    if (!attempt_ && now < next_attempt_) {
      // A copy: the wait reads its deadline while others may change ours.
      const Deadline until = std::min(give_up, next_attempt_);
      changed_.wait_until(lock, stop, until, [this] { return dialling_ || link_; });
      continue;
    }
    if (auto left = dial(lock, now, patience, stop)) {
      leave_to_a_worker();
      return std::move(*left);
    }
  }
}

/// With the lock held, which is free while it dials: goes on with the attempt, or begins one. Returns why this caller leaves it to
/// others, if it does.
std::optional<Failure> Node::dial(std::unique_lock<std::mutex>& lock, Deadline now, const Patience& patience,
                                  const std::stop_token& stop) {
  const bool was_forgotten = attempt_ && attempt_->limit() <= now;
  if (!attempt_) ++begun_;
  dialling_ = true;
  lock.unlock();
  Driven driven = drive(now, patience, stop);
  lock.lock();
  dialling_ = false;
  changed_.notify_all();
  // That one caller lost patience says nothing about the server: the others go on.
  if (auto* left = std::get_if<Left>(&driven)) return std::move(left->failure);
  if (const auto* failure = std::get_if<Failure>(&driven)) {
    // Nor does an attempt that nobody went on with in time.
    if (!was_forgotten) note(*failure);
    return std::nullopt;
  }
  note(std::get<std::shared_ptr<Link>>(driven));
  return std::nullopt;
}

/// With the lock held. Where there is no thread for that, the attempt waits for the next caller.
void Node::leave_to_a_worker() noexcept try {
  if (ending_.stop_requested()) return;
  Workers& workers = reactor_.get().workers();
  workers.get_ready();
  if (!goes_on_) goes_on_.emplace(workers, [this] { go_on(); });
  goes_on_->post();
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see above
}

/// In a worker: with an attempt that nobody drives. It begins no other: that is for those who want a link.
void Node::go_on() noexcept try {
  std::unique_lock lock{mutex_};
  if (dialling_ || !attempt_ || ending_.stop_requested())
    return;  // in this order: the attempt belongs to the one who dials
  const Deadline now = steady_clock::now();
  dial(lock, now, {attempt_->limit(), within(attempt_->limit() - now)}, ending_.get_token());
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory to note how it went
}

std::shared_ptr<Link> Node::present_link() {
  const std::lock_guard lock{mutex_};
  return link_ && !link_->broken() ? link_ : nullptr;
}

Failure Node::why_absent() {
  const std::lock_guard lock{mutex_};
  const Failure& why = link_ && link_->broken() ? link_->failure() : last_failure_;
  return {Failure::Kind::unreachable, why.text.empty() ? "there is no connection" : why.text};
}

void Node::verify(const std::stop_token& stop) {
  const std::shared_ptr<Link> link = present_link();
  if (!link || options_.kind != ConnectionOptions::Kind::sentinel) return;
  if (!sentinels_) sentinels_ = std::make_unique<Sentinels>(options_, *dialler_.sentinels());
  auto named = named_by(*sentinels_->ask_next(steady_clock::now()), moment, stop);
  if (named && *named == link->address()) return;
  // It may be one that knows no better, or none that is there. They may be far away, too: that takes as long as it may when dialling.
  named = named_by(*sentinels_->ask_most(steady_clock::now()), options_.connect_timeout, stop);
  if (!named || *named == link->address() || link->broken()) return;
  handlers_.on_replaced(*link);
  drop(link, {Failure::Kind::refused, "the sentinels name another server as the master: " + display_name(*named)});
}

/// None if nobody has said so in that time.
std::optional<ServerAddress> Node::named_by(SentinelSearch& search, std::chrono::milliseconds patience,
                                            const std::stop_token& stop) {
  Kick kick;
  const std::stop_callback on_stop{stop, [&kick] { kick.kick(); }};
  const Deadline give_up = steady_clock::now() + patience;
  while (!stop.stop_requested()) {
    const Deadline now = steady_clock::now();
    auto step = search.step(now);  // when the time is up, too: then it is settled by those who have answered
    if (auto* address = std::get_if<ServerAddress>(&step)) return std::move(*address);
    if (std::holds_alternative<Failure>(step) || now >= give_up) return std::nullopt;
    auto& awaited = std::get<Awaited>(step);
    awaited.until = std::min(awaited.until, give_up);
    poll_until(awaited, &kick);
  }
  return std::nullopt;
}

void Node::drop(const std::shared_ptr<Link>& link, const Failure& why) {
  {
    const std::lock_guard lock{mutex_};
    if (link_ != link || link->broken()) return;
    if (steady_clock::now() >= linked_at_ + soon) failures_ = 0;
    last_failure_ = why;
    link_.reset();
    if (why.kind == Failure::Kind::refused) pause_before_next_attempt();
  }
  link->retire(why);
}

/// A link broke: after one that had served callers the next attempt may come soon.
void Node::plan_next_attempt() {
  if (link_->has_served()) failures_ = 0;
  last_failure_ = link_->failure();
  link_.reset();
  pause_before_next_attempt();
}

/// Never so long that a caller with all of connect_timeout before it could not try.
void Node::pause_before_next_attempt() {
  const auto longest = std::min(longest_pause, std::chrono::microseconds{options_.connect_timeout} / 4);
  next_attempt_ = steady_clock::now() + jittered_pause(failures_++, first_pause, longest);
}

void Node::note(const std::shared_ptr<Link>& link) {
  link_ = link;
  linked_at_ = steady_clock::now();
  reached_before_ = true;
}

void Node::note(const Failure& failure) {
  ++failed_;
  last_failed_ = begun_;
  last_failure_ = failure;
  pause_before_next_attempt();
  if (handlers_.on_failed) handlers_.on_failed(failure);
}

/// Goes on with the attempt, or begins one.
Node::Driven Node::drive(Deadline now, const Patience& patience, const std::stop_token& stop) {
  Driven driven;
  try {
    driven = drive_attempt(now, patience, stop);
  } catch (const std::system_error& error) {  // no descriptor or thread
    driven = Failure{Failure::Kind::exhausted, error.code().message()};
  } catch (const std::bad_alloc&) {
    driven = Failure{Failure::Kind::exhausted, "out of memory"};
  }
  if (!std::holds_alternative<Left>(driven)) attempt_.reset();
  return driven;
}

Node::Driven Node::drive_attempt(Deadline now, const Patience& patience, const std::stop_token& stop) {
  std::optional<Kick> kick;
  if (stop.stop_possible()) kick.emplace();
  const std::stop_callback on_stop{stop, [&kick] { kick->kick(); }};
  Reactor& reactor = reactor_.get();  // before anything is sent: there may be no thread to be had
  if (!attempt_) attempt_ = std::make_unique<Attempt>(dialler_, now);
  for (;; now = steady_clock::now()) {
    auto step = attempt_->step(now);
    if (auto* failure = std::get_if<Failure>(&step)) return std::move(*failure);
    if (auto* logged_in = std::get_if<LoggedIn>(&step)) {
      auto link = std::make_shared<Link>(reactor, std::move(*logged_in), options_.command_timeout, handlers_.link);
      handlers_.on_linked(*link, reached_before_);  // which only the one who dials changes
      const auto* const sentinels = handlers_.on_replicas ? dialler_.sentinels() : nullptr;
      if (sentinels != nullptr && sentinels->replicas()) handlers_.on_replicas(*sentinels->replicas());
      return link;
    }
    if (stop.stop_requested()) return Left{{Failure::Kind::cancelled, "cancelled"}};
    if (now >= patience.until) return Left{attempt_->unfinished(patience.in_words)};
    auto& awaited = std::get<Awaited>(step);
    awaited.until = std::min(awaited.until, patience.until);
    poll_until(awaited, kick ? &*kick : nullptr);
  }
}

}  // namespace redismutex::net
