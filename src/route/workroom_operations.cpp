// The operations of a Workroom: how each step is carried out, and what wakes them.

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <iterator>
#include <mutex>
#include <utility>

#include "route/environment.hpp"
#include "route/workroom.hpp"
#include "route/workroom_running.hpp"

namespace redismutex::route {
namespace {

using protocol::Instant;
using protocol::never;

// As many as come and go at a time in a busy loop.
constexpr std::size_t most_spares = 128;

}  // namespace

// ---- operations -----------------------------------------------------------------------------------------------------

void Workroom::carry_out(Running& running, const Procedure::Step& step) {
  if (const auto* reach = std::get_if<Procedure::Reach>(&step)) return this->reach(running, *reach);
  if (const auto* send = std::get_if<Procedure::Send>(&step)) return this->send(running, *send);
  if (const auto* sleep = std::get_if<Procedure::Sleep>(&step)) return this->sleep(running, *sleep);
  if (const auto* leave = std::get_if<Procedure::Leave>(&step)) {
    if (running.link) running.way->peer.leave(running.link, *leave);
    return this->sleep(running, leave->then);
  }
  end(running, Operation::End::done);
}

/// Until then at the latest.
void Workroom::wait(Running& running, State state, Instant until) noexcept {
  running.state = state;
  if (state == State::reaching) running.since = now();
  running.until = until;
  next_time_ = std::min(next_time_, until);
  if (state != State::sending && !running.listens) running.link.reset();
}

void Workroom::sleep(Running& running, const Procedure::Sleep& sleep) noexcept {
  if (sleep.listens && running.link) {
    running.listens = true;
    ++running.way->listeners;
    listeners_changed_ = true;
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
  if (running.link || !reach.dials) return tell(running, [&] { return reached(running.way->peer, running.link); });
  wait(running, State::reaching, reach.until);
  request_dial(*running.way);
}

void Workroom::send(Running& running, const Procedure::Send& send) {
  running.get_ready_for(send);
  wait(running, State::sending, send.until);
  std::size_t made = 0;
  send_commands(*running.link, send.commands, [&]() -> net::Call* { return running.calls.at(made++).get(); });
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
    Failure failure{Failure::Kind::timed_out, "no answer" + net::within(running.until - running.since)};
    if (running.state == State::sending) return Procedure::Unanswered{std::move(failure)};
    return Procedure::Unreached{std::move(failure)};
  });
}

/// It is told so at the end of the round, together with others: whoever hears of the first in another thread finds them all.
void Workroom::end(Running& running, Operation::End how) noexcept {
  running.state = State::over;
  running.end = how;
  ended_.splice(ended_.end(), running_, running.place);
}

void Workroom::tell_ended() noexcept {
  if (ended_.empty()) return;
  // Each is let go of at once: mostly it is destroyed where it completes, by the thread that has made it.
  for (Running& running : ended_) std::exchange(running.operation, nullptr)->over(running.end);
  {
    const std::lock_guard lock{mutex_};
    for (Running& running : ended_) forget_woken(running);
  }
  for (Running& running : ended_) running.become_spare();
  const std::size_t count = ended_.size();
  Operations too_many;
  const std::lock_guard lock{mutex_};
  spares_.splice(spares_.begin(), ended_);
  while (spares_.size() > most_spares) too_many.splice(too_many.end(), spares_, std::prev(spares_.end()));
  count_ -= count;
  if (count_ == 0) changed_.notify_all();
}

void Workroom::attend_to_times(Instant here) noexcept {
  next_time_ = never;
  for (auto each = running_.begin(); each != running_.end();) {
    Running& running = *each++;
    if (running.until <= here) {
      give_up_waiting(running);
    } else {
      next_time_ = std::min(next_time_, running.until);
    }
  }
}

}  // namespace redismutex::route
