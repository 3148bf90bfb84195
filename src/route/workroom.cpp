#include "route/workroom.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include "route/environment.hpp"
#include "route/workroom_running.hpp"

namespace redismutex::route {
namespace {

using net::Link;
using protocol::Instant;

constexpr Instant never = Instant::max();

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

void Workroom::start(std::unique_ptr<Operation> operation) {
  auto running = std::make_unique<Running>(*this, std::move(operation));
  running->operation->note_waker(*running);
  {
    const std::lock_guard lock{mutex_};
    begin();
    if (!finished_) {
      Running& started = *started_.emplace_back(std::move(running));
      started.place = std::prev(started_.end());
      ++count_;
      wake();
      return;
    }
  }
  running->operation->over(Operation::End::abandoned);
  const std::lock_guard lock{mutex_};
  forget_woken(*running);
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
    if (!finished_) timer_->set_no_later_than(at.time_since_epoch());
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
  wake();
}

/// With the lock held: a round is to be made. finish() takes the timer away without the lock.
void Workroom::wake() noexcept {
  if (!finished_ && timer_) timer_->set_no_later_than(net::BootTime{});
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
  if (std::exchange(running.is_woken, true)) return;
  running.next_woken = std::exchange(woken_, &running);
  wake();
}

bool Workroom::take_in_pushes(Server& server) noexcept {
  const std::shared_ptr<Link> link = server.way()->present_link();
  return link && link->read_now();
}

/// By a worker, because it waits for answers. Without one, the next time.
void Workroom::verify_server() noexcept try {
  const std::lock_guard lock{mutex_};
  if (finished_) return;
  if (!verifying_) {
    net::Workers& workers = reactor_.get().workers();
    workers.get_ready();
    verifying_.emplace(workers, [this] { verify(); });
  }
  verifying_->post();
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see above
}

void Workroom::verify() noexcept try {
  for (std::size_t i = 0;; ++i) {
    Peer* peer = nullptr;
    {
      const std::lock_guard lock{mutex_};
      if (i == ways_.size()) return;
      peer = &ways_[i].peer;
    }
    peer->verify(stopping_.get_token());
  }
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no descriptor, no memory: the same
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
  for (Way& way : ways_) {
    way.dialling.reset();
    way.dialled.reset();  // a link tells of pushes as long as it is there
  }
  running_.splice(running_.end(), started_);
  for (const std::unique_ptr<Running>& running : running_) {
    if (running->state == State::sending && !running->withdraw()) {
      // The thread that has its last answer tells so in this moment, and then leaves both alone.
      std::unique_lock lock{mutex_};
      changed_.wait(lock, [&running] { return running->is_answered; });
    }
    running->operation->over(Operation::End::abandoned);
  }
  {
    const std::lock_guard lock{mutex_};
    woken_ = nullptr;
  }
  running_.clear();
  for (Way& way : ways_) {
    if (const std::shared_ptr<Link> link = way.listened_to.lock()) link->want_pushes(false);
  }
}

// ---- rounds ---------------------------------------------------------------------------------------------------------

/// In the reactor's thread.
void Workroom::make_rounds() noexcept {
  while (make_round()) continue;
  set_timer();
}

/// Whether there may be more to do.
bool Workroom::make_round() noexcept {
  Running* answered = nullptr;
  bool dialled = false;
  auto last = running_.end();
  {
    const std::lock_guard lock{mutex_};
    answered = std::exchange(answered_, nullptr);
    dialled = std::exchange(has_dialled_, false);
    if (!started_.empty()) {
      last = started_.begin();
      running_.splice(running_.end(), started_);
    }
  }
  const bool has_more = answered != nullptr || dialled || last != running_.end();
  while (answered != nullptr) take_answers(*std::exchange(answered, answered->next));
  for (auto each = last; each != running_.end();) {
    advance(**each++, [](Procedure& procedure) { return procedure.start(now()); });
  }
  if (dialled) take_dialled();
  while (wake_up_next()) continue;
  const Instant here = now();
  if (here >= next_time_) attend_to_times(here);
  listen_at_present_links(here);
  return run_due_duty(here) || has_more;
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
  if (next != never && !finished_ && timer_) timer_->set_no_later_than(next.time_since_epoch());
}

// ---- operations -----------------------------------------------------------------------------------------------------

void Workroom::carry_out(Running& running, const Procedure::Step& step) {
  if (const auto* reach = std::get_if<Procedure::Reach>(&step)) return this->reach(running, *reach);
  if (const auto* send = std::get_if<Procedure::Send>(&step)) return this->send(running, *send);
  if (const auto* sleep = std::get_if<Procedure::Sleep>(&step)) return this->sleep(running, *sleep);
  if (const auto* leave = std::get_if<Procedure::Leave>(&step)) {
    if (running.link) running.way->peer.leave(running.link, leave->refusal);
    return this->sleep(running, leave->then);
  }
  end(running, Operation::End::done);
}

/// Until then at the latest.
void Workroom::wait(Running& running, State state, Instant until) noexcept {
  running.state = state;
  running.until = until;
  next_time_ = std::min(next_time_, until);
  if (state != State::sending && !running.listens) running.link.reset();
}

void Workroom::sleep(Running& running, const Procedure::Sleep& sleep) noexcept {
  if (sleep.listens && running.link) {
    running.listens = true;
    ++running.way->listeners;
  }
  // A link that has broken already tells nobody any more.
  const bool goes_on = std::exchange(running.has_news, false) || (running.listens && running.link->broken());
  wait(running, State::sleeping, goes_on ? Instant{} : sleep.until);
}

/// It goes on.
void Workroom::end_wait(Running& running) noexcept {
  running.until = never;
  if (!std::exchange(running.listens, false)) return;
  --running.way->listeners;
}

/// One of those that there is news for. Whether there was one.
bool Workroom::wake_up_next() noexcept {
  Running* running = nullptr;
  {
    const std::lock_guard lock{mutex_};
    if (woken_ == nullptr) return false;
    running = std::exchange(woken_, woken_->next_woken);
    running->is_woken = false;
  }
  if (running->state == State::sleeping) {
    tell(*running, [] { return Procedure::Woken{}; });
  } else {
    running->has_news = true;
  }
  return true;
}

/// With the lock held.
void Workroom::forget_woken(Running& running) noexcept {
  if (!running.is_woken) return;
  Running** place = &woken_;
  while (*place != &running) place = &(*place)->next_woken;
  *place = running.next_woken;
}

void Workroom::reach(Running& running, const Procedure::Reach& reach) {
  running.way = &way_to(reach.at);
  running.way->in_use = true;
  running.link = running.way->peer.present_link();
  if (running.link || !reach.dials) return tell(running, [&] { return reached(running.link); });
  wait(running, State::reaching, reach.until);
  request_dial(*running.way);
}

void Workroom::send(Running& running, const Procedure::Send& send) {
  running.wanted = count_wanted(send);
  running.open = running.wanted;
  running.is_answered = false;
  wait(running, State::sending, send.until);
  std::size_t made = 0;
  send_commands(*running.link, send.commands,
                [&]() -> net::Call* { return &running.calls.at(made++).emplace(running); });
}

void Workroom::take_answers(Running& running) noexcept {
  std::array<protocol::Answer, Procedure::most_wanted> answers;
  tell(running, [&]() -> Procedure::Event {
    for (std::size_t i = 0; i < running.wanted; ++i) {
      if (!running.calls[i]->answered()) return unanswered(running.link->failure());
      answers[i] = view(running.calls[i]->reply());
    }
    return Procedure::Answered{{answers.data(), running.wanted}};
  });
}

void Workroom::give_up_waiting(Running& running) noexcept {
  if (running.state == State::sending && !running.withdraw()) {
    running.until = never;  // its answers have come in this moment
    return;
  }
  const bool link_broke = running.listens && running.link->broken();
  tell(running, [&running, link_broke]() -> Procedure::Event {
    if (running.state == State::sleeping) return Procedure::Woken{.link_broke = link_broke};
    Failure failure{Failure::Kind::timed_out, "no answer within the time limit"};
    if (running.state == State::sending) return Procedure::Unanswered{std::move(failure)};
    return Procedure::Unreached{std::move(failure)};
  });
}

void Workroom::end(Running& running, Operation::End how) noexcept {
  running.operation->over(how);
  std::unique_lock lock{mutex_};
  forget_woken(running);
  lock.unlock();
  running_.erase(running.place);
  lock.lock();
  if (--count_ == 0) changed_.notify_all();
}

void Workroom::attend_to_times(Instant here) noexcept {
  next_time_ = never;
  for (auto each = running_.begin(); each != running_.end();) {
    Running& running = **each++;
    if (running.until <= here) {
      give_up_waiting(running);
    } else {
      next_time_ = std::min(next_time_, running.until);
    }
  }
}

}  // namespace redismutex::route
