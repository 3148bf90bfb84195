#include "net/node.hpp"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "net/login.hpp"
#include "net/pause.hpp"
#include "net/url.hpp"

namespace redismutex::net {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::chrono::microseconds first_pause = 1ms;
constexpr std::chrono::microseconds longest_pause = 512ms;

// A server that is left so soon after it was dialled has not been of any use since: that was one more failure.
constexpr auto soon = 1s;

}  // namespace

Node::Node(ConnectionOptions options, Link::PushHandler on_push, LoginHandler on_login)
    : options_{std::move(options)},
      name_{display_name(options_)},
      on_push_{std::move(on_push)},
      on_login_{std::move(on_login)},
      dialler_{std::make_unique<Dialler>(options_)} {
  register_for_fork();
}

Node::~Node() { unregister_for_fork(); }

std::variant<std::shared_ptr<Link>, Failure> Node::link(Deadline deadline, const std::stop_token& stop) {
  std::unique_lock lock{mutex_};
  if (link_ && !link_->broken()) return link_;

  const Deadline give_up = std::min(deadline, steady_clock::now() + options_.connect_timeout);
  const std::uint64_t attempts_before = attempts_;
  for (;;) {
    if (link_ && !link_->broken()) return link_;
    // Others may have tried for us while we waited.
    const bool tried = attempts_ > attempts_before;
    if (tried && (last_failure_.permanent() || !reached_before_)) return last_failure_;
    if (stop.stop_requested()) return Failure{Failure::Kind::cancelled, "cancelled"};
    const auto now = steady_clock::now();
    if (now >= give_up) {
      if (tried || last_failure_.kind == Failure::Kind::refused) return last_failure_;
      const std::string why = failures_ == 0 ? "" : ": " + last_failure_.text;
      return Failure{Failure::Kind::timed_out, "no connection within the time limit" + why};
    }
    if (dialling_) {
      changed_.wait_until(lock, stop, give_up, [this] { return !dialling_; });
      continue;
    }
    if (link_) plan_next_attempt();
    if (now < next_attempt_) {
      // A copy: the wait reads its deadline while others may change ours.
      const Deadline until = std::min(give_up, next_attempt_);
      changed_.wait_until(lock, stop, until, [this] { return dialling_ || link_; });
      continue;
    }
    dialling_ = true;
    lock.unlock();
    const Dialled dialled = dial_once(give_up, stop);
    lock.lock();
    dialling_ = false;
    changed_.notify_all();
    // That one caller lost patience says nothing about the server: the others go on.
    const auto* failure = std::get_if<Failure>(&dialled);
    const bool impatient = failure != nullptr && failure->kind == Failure::Kind::timed_out && give_up == deadline;
    if (impatient || (failure != nullptr && failure->kind == Failure::Kind::cancelled)) return *failure;
    const bool reconnected = note(dialled);
    if (!reconnected || !options_.observer) continue;
    lock.unlock();
    options_.observer->reconnected();
    lock.lock();
  }
}

std::shared_ptr<Link> Node::present_link() {
  const std::lock_guard lock{mutex_};
  return link_ && !link_->broken() ? link_ : nullptr;
}

bool Node::drop(const std::shared_ptr<Link>& link, std::string_view refusal) {
  const Failure why{Failure::Kind::refused, std::string{refusal}};
  {
    const std::lock_guard lock{mutex_};
    if (link_ != link || link->broken()) return false;
    if (steady_clock::now() >= linked_at_ + soon) failures_ = 0;
    last_failure_ = why;
    link_.reset();
    pause_before_next_attempt();
  }
  link->retire(why);
  return true;
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

/// Whether there is a connection again.
bool Node::note(const Dialled& dialled) {
  if (const auto* link = std::get_if<std::shared_ptr<Link>>(&dialled)) {
    link_ = *link;
    linked_at_ = steady_clock::now();
    return std::exchange(reached_before_, true);
  }
  ++attempts_;
  last_failure_ = std::get<Failure>(dialled);
  pause_before_next_attempt();
  return false;
}

Node::Dialled Node::dial_once(Deadline deadline, const std::stop_token& stop) try {
  auto dialled = dialler_->dial(deadline, stop);
  if (auto* failure = std::get_if<Failure>(&dialled)) return std::move(*failure);
  auto link =
      std::make_shared<Link>(std::move(std::get<std::unique_ptr<Stream>>(dialled)), options_.command_timeout, on_push_);
  auto logged_in = log_in(*link, options_, deadline, stop);
  if (auto* failure = std::get_if<Failure>(&logged_in)) return std::move(*failure);
  auto& greeting = std::get<Greeting>(logged_in);
  on_login_(*link, greeting);
  link->end_login(std::move(greeting));
  return link;
} catch (const std::system_error& error) {  // no descriptor or thread
  return Failure{Failure::Kind::exhausted, error.code().message()};
} catch (const std::bad_alloc&) {
  return Failure{Failure::Kind::exhausted, "out of memory"};
}

void Node::after_fork_in_child() noexcept {
  // The parent's link, with whatever locks its threads held, stays in memory for ever, and so does what a thread of its
  // was dialling with. (Their sockets are closed: see Socket.)
  if (link_) leave_alone(std::move(link_));
  leave_alone(std::move(dialler_));
  dialler_ = std::make_unique<Dialler>(options_);
  dialling_ = false;
  next_attempt_ = {};
  new (&changed_) std::condition_variable_any;
  mutex_.unlock();
}

}  // namespace redismutex::net
