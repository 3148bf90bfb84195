#include "route/workroom.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include "net/cork.hpp"
#include "route/environment.hpp"
#include "route/helps.hpp"
#include "route/workroom_running.hpp"

namespace redismutex::route {
namespace {

using net::Link;
using protocol::Instant;
using protocol::never;

}  // namespace

Workroom::Workroom(net::ReactorOnDemand& reactor) : reactor_{reactor} {}

Workroom::Workroom(Peer& peer, net::ReactorOnDemand& reactor) : Workroom{reactor} {
  ways_.emplace_back(*this, peer).in_use = true;
}

Workroom::~Workroom() { finish(Instant{}); }

// ---- from outside ---------------------------------------------------------------------------------------------------

void Workroom::get_ready() {
  const std::lock_guard lock{mutex_};
  begin();
  for (Way& way : ways_) get_ready_to_dial(way);
}

/// With the lock held.
void Workroom::begin() {
  if (!finished_ && !timer_) timer_.emplace(reactor_.get(), [this] { make_rounds(); });
}

void Workroom::start(std::shared_ptr<Operation> operation) { admit(prepare(std::move(operation)), std::nullopt); }

/// The only one of a list of its own.
Workroom::Operations Workroom::prepare(std::shared_ptr<Operation> operation) {
  Operations one;
  {
    const std::lock_guard lock{mutex_};
    begin();
    if (!spares_.empty()) one.splice(one.end(), spares_, spares_.begin());
  }
  if (one.empty()) one.emplace_back(*this);
  Running& running = one.front();
  running.belong_to(std::move(operation));
  running.operation->note_waker(&running);
  return one;
}

/// From now on the rounds have it, of which there is one at that time at the latest; none: at once. False: there are none any more.
bool Workroom::admit(Operations prepared, std::optional<Instant> round_at) {
  Running& running = prepared.front();
  {
    const std::lock_guard lock{mutex_};
    if (!finished_) {
      running.place = prepared.begin();
      started_.splice(started_.end(), prepared);
      running.is_admitted = true;
      if (running.was_woken) add_woken(running);
      ++count_;
      if (round_at) {
        request_round(*round_at);
      } else {
        wake();
      }
      return true;
    }
  }
  running.operation->over(Operation::End::abandoned);
  return false;
}

void Workroom::start_here(std::shared_ptr<Operation> operation) {
  Operations prepared = prepare(std::move(operation));
  Running& running = prepared.front();
  auto how = Operation::End::done;
  try {
    if (!take_first_steps(running)) {
      if (const auto* send = std::get_if<Procedure::Send>(&*running.next_step)) {
        const Procedure::Send first = *send;
        running.get_ready_for(first);
        send_first(std::move(prepared), first);
      } else {
        admit(std::move(prepared), std::nullopt);
      }
      return;
    }
  } catch (const std::bad_alloc&) {
    if (prepared.empty()) throw;
    how = Operation::End::abandoned;
  } catch (...) {
    if (!prepared.empty()) running.operation->note_waker(nullptr);
    throw;
  }
  running.operation->over(how);
}

/// Whether it is done. If not, the next step is one to wait for.
bool Workroom::take_first_steps(Running& running) {
  Procedure& procedure = running.operation->procedure();
  Procedure::Step step = procedure.start(now());
  for (;;) {
    if (std::holds_alternative<Procedure::Done>(step)) return true;
    const auto* reach = std::get_if<Procedure::Reach>(&step);
    if (reach == nullptr) break;
    Way& way = way_to(reach->at);
    running.link = way.peer.present_link();
    if (reach->dials && !running.link) break;
    running.way = &way;
    step = procedure.resume(reached(way.peer, running.link), now());
  }
  running.next_step = step;
  return false;
}

/// Nothing of it is touched once it is sent: the answers may be there at once.
void Workroom::send_first(Operations prepared, const Procedure::Send& send) {
  const Running& running = prepared.front();
  const std::shared_ptr<Link> link = running.link;
  std::array<net::Call*, Procedure::most_wanted_of_many> calls{};
  for (std::size_t i = 0; i < running.wanted; ++i) calls.at(i) = running.calls.at(i).get();
  if (!admit(std::move(prepared), send.until)) return;
  std::size_t made = 0;
  send_commands(*link, send.commands, [&]() -> net::Call* { return calls.at(made++); });
}

void Workroom::enlist(Duty& duty) {
  const std::lock_guard lock{mutex_};
  begin();
  const auto same = [&duty](const Enlisted& each) { return each.duty == &duty; };
  if (std::none_of(duties_.begin(), duties_.end(), same)) duties_.push_back({&duty, never});
}

void Workroom::call(Duty& duty, Instant at) noexcept {
  const std::lock_guard lock{mutex_};
  for (Enlisted& each : duties_) {
    if (each.duty != &duty || each.at <= at) continue;
    each.at = at;
    request_round(at);
  }
}

void Workroom::withdraw(Duty& duty) noexcept {
  std::unique_lock lock{mutex_};
  std::erase_if(duties_, [&duty](const Enlisted& each) { return each.duty == &duty; });
  if (runs_this_thread_ == std::this_thread::get_id()) return;
  changed_.wait(lock, [&] { return running_duty_ != &duty; });
}

void Workroom::link_broke() noexcept {
  const std::lock_guard lock{mutex_};
  one_broke_ = true;
  request_round(at_once);
}

/// With the lock held: a round is to be made at that time at the latest. finish() takes the timer away without the lock.
void Workroom::request_round(Instant at) noexcept {
  if (finished_ || !timer_ || at >= round_at_) return;
  round_at_ = at;
  timer_->set_no_later_than(at.time_since_epoch());
}

void Workroom::note_answered(Running& running) noexcept {
  const std::lock_guard lock{mutex_};
  running.next = std::exchange(answered_, &running);
  running.is_answered = true;
  wake();
  if (finished_) changed_.notify_all();
}

void Workroom::note_woken(Running& running) noexcept {
  const std::lock_guard lock{mutex_};
  if (!running.is_admitted) {
    running.was_woken = true;
    return;
  }
  add_woken(running);
}

/// With the lock held.
void Workroom::add_woken(Running& running) noexcept {
  if (std::exchange(running.is_woken, true)) return;
  running.next_woken = std::exchange(woken_, &running);
  wake();
}

bool Workroom::take_in_pushes(Server& server) noexcept {
  const std::shared_ptr<Link> link = server.way()->present_link();
  return link && link->read_now();
}

void Workroom::finish(Instant until) noexcept {
  {
    std::unique_lock lock{mutex_};
    changed_.wait_until(lock, deadline_at(until), [this] { return count_ == 0; });
    if (std::exchange(finished_, true)) return;
  }
  stopping_.request_stop();
  timer_.reset();
  verifying_.reset();
  const std::lock_guard round{round_};  // a thread may help yet
  for (Way& way : ways_) {
    way.dialling.reset();
    way.dialled.reset();  // a link tells of pushes as long as it is there
  }
  running_.splice(running_.end(), started_);
  for (Running& running : running_) {
    if (running.state == State::sending && !running.withdraw()) {
      // The thread that has its last answer tells so in this moment, and then leaves both alone.
      std::unique_lock lock{mutex_};
      changed_.wait(lock, [&running] { return running.is_answered; });
    }
    running.operation->over(Operation::End::abandoned);
  }
  {
    const std::lock_guard lock{mutex_};
    answered_ = woken_ = nullptr;
  }
  running_.clear();
  for (Way& way : ways_) {
    if (const std::shared_ptr<Link> link = way.listened_to.lock()) link->want_pushes(false);
  }
}

// ---- rounds ---------------------------------------------------------------------------------------------------------

/// In the reactor's thread.
void Workroom::make_rounds() noexcept {
  const std::lock_guard round{round_};
  const InRound here;
  {
    const std::lock_guard lock{mutex_};
    round_at_ = never;
  }
  for (bool has_more = true; has_more;) {
    const net::Cork cork;
    has_more = make_round();
  }
  set_timer();
}

/// Whether there may be more to do.
bool Workroom::make_round() noexcept {
  bool dialled = false;
  {
    const std::lock_guard lock{mutex_};
    dialled = std::exchange(has_dialled_, false);
  }
  const bool has_more = go_on() || dialled;
  if (dialled) take_dialled();
  const Instant here = now();
  if (here >= next_time_) attend_to_times(here);
  listen_at_present_links(here);
  tell_ended();
  return run_due_duty(here) || has_more;
}

/// With the operations that were started, answered, or woken. Whether there were any.
bool Workroom::go_on() noexcept {
  Running* answered = nullptr;
  {
    const std::lock_guard lock{mutex_};
    answered = std::exchange(answered_, nullptr);
  }
  bool has_any = answered != nullptr;
  // First, because those that were sent elsewhere may have been answered, and end.
  has_any = begin_started() || has_any;
  while (answered != nullptr) {
    Running& running = *std::exchange(answered, answered->next);
    if (running.wanted > Procedure::most_wanted) {
      take_many_answers(running);
    } else {
      take_answers(running);
    }
  }
  while (wake_up_next()) continue;
  return has_any;
}

void Workroom::take_many_answers(Running& running) noexcept {
  std::vector<protocol::Answer> answers;
  tell(running, [&]() -> Procedure::Event {
    answers.reserve(running.wanted);
    for (std::size_t i = 0; i < running.wanted; ++i) {
      if (!running.calls[i]->answered()) return unanswered(running.link->failure());
      answers.push_back(view(running.calls[i]->reply()));
    }
    return Procedure::Answered{answers};
  });
}

bool Workroom::begin_started() noexcept {
  Operations::iterator next;
  {
    const std::lock_guard lock{mutex_};
    if (started_.empty()) return false;
    next = started_.begin();
    running_.splice(running_.end(), started_);
  }
  while (next != running_.end()) begin(*next++);
  return true;
}

void Workroom::begin(Running& running) noexcept {
  if (running.state == State::sending) {
    running.way->in_use = true;
    next_time_ = std::min(next_time_, running.until);
    return;
  }
  advance(running, [&running](Procedure& procedure) {
    return running.next_step ? *std::exchange(running.next_step, std::nullopt) : procedure.start(now());
  });
}

/// One of them, so that those that go on are not held up.
bool Workroom::run_due_duty(Instant here) {
  std::unique_lock lock{mutex_};
  const auto due =
      std::find_if(duties_.begin(), duties_.end(), [here](const Enlisted& each) { return each.at <= here; });
  if (due == duties_.end()) return false;
  due->at = never;
  Duty* const duty = running_duty_ = due->duty;
  runs_this_thread_ = std::this_thread::get_id();
  lock.unlock();
  const Instant again = duty->run(here);
  lock.lock();
  running_duty_ = nullptr;
  runs_this_thread_ = {};
  for (Enlisted& each : duties_) {
    if (each.duty == duty) each.at = std::min(each.at, again);
  }
  changed_.notify_all();
  return true;
}

void Workroom::set_timer() noexcept {
  Instant next = next_time_;
  const std::lock_guard lock{mutex_};
  if (listens_) {
    for (const Way& way : ways_) {
      if (way.is_missed()) next = std::min(next, way.next_dial);
    }
  }
  for (const Enlisted& each : duties_) next = std::min(next, each.at);
  request_round(next);
}

}  // namespace redismutex::route
