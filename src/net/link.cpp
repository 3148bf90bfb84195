#include "net/link.hpp"

#include <new>
#include <utility>

#include "net/cork.hpp"

namespace redismutex::net {
namespace {

std::uint64_t next_link_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

Link::Link(Reactor& reactor, LoggedIn logged_in, std::chrono::milliseconds reply_timeout, Handlers handlers)
    : Source{reactor},
      id_{next_link_id()},
      reactor_{reactor.shared_from_this()},
      greeting_{std::move(logged_in.greeting)},
      address_{std::move(logged_in.address)},
      peer_{std::move(logged_in.peer)},
      stream_{std::move(logged_in.stream)},
      reply_timeout_{reply_timeout},
      handlers_{std::move(handlers)},
      wire_{std::move(logged_in.wire)},
      login_{wire_.answered() + wire_.in_flight()},
      look_timer_{reactor, [this] { look(); }},
      overdue_timer_{reactor, [this] { look_for_overdue(); }} {
  Lock lock{mutex_};
  wire_.expect_large_replies();
  wire_.reserve_for_answers();
  if (wire_.in_flight() == 0) return;
  // What the login has left: its answers come with those to the first caller.
  write(lock);
  timed_ = true;
  overdue_timer_.set(boot_now() + reply_timeout_);
}

Link::~Link() {
  {
    // The reactor's part does nothing from now on, whatever of it is on its way.
    const std::lock_guard lock{mutex_};
    if (!failure_) failure_ = {Failure::Kind::cancelled, "closed"};
    broken_ = true;
  }
  Source::leave();
  loop_.reset();  // before the descriptor is closed
}

// ---- submitting and waiting -----------------------------------------------------------------------------------------

void Link::send(std::span<const Outgoing> commands) {
  News news;
  const Deadline overdue_at = Deadline::clock::now() + reply_timeout_;
  Lock lock{mutex_};
  std::size_t submitted = 0;
  if (!failure_ && !retired_) try {
      Caller* caller = nullptr;
      for (const Outgoing& command : commands) {
        wire_.submit(command.call, command.arguments, overdue_at);
        ++submitted;
        if (command.call == nullptr || !command.call->blocks_) continue;
        caller = &note_submitted(static_cast<BlockingCall&>(*command.call), overdue_at);
      }
      if (caller != nullptr) join(*caller);
      if (!is_left_to_others(caller)) write(lock);
      if (!std::exchange(timed_, true)) overdue_timer_.set(boot_now() + reply_timeout_);
      watch_if_needed();
      if (wire_.unsent() > max_unsent_size) {
        break_off({Failure::Kind::unreachable, "the server takes no more data"}, news);
      }
    } catch (const std::bad_alloc&) {
      break_off({Failure::Kind::unreachable, out_of_memory}, news);
    }
  for (const Outgoing& command : commands.subspan(submitted)) {
    if (command.call == nullptr) continue;
    command.call->state_ = Call::State::lost;
    if (!command.call->blocks_) news.over.add(*command.call);
  }
  lock.unlock();
  finish(news);
}

Caller& Link::note_submitted(BlockingCall& call, Deadline overdue_at) noexcept {
  Caller& caller = call.caller_;
  ++caller.in_flight_;
  call.number_ = ++caller.submitted_;
  call.earlier_ = std::exchange(caller.calls_, &call);
  caller.overdue_at_ = overdue_at;
  return caller;
}

/// With the lock held: the caller is at this link from now on, to read, or behind those who do.
void Link::join(Caller& caller) noexcept {
  if (caller.link_ != nullptr) return;
  caller.link_ = this;
  if (!caller.is_apart_ && !std::exchange(caller.has_spot_, true)) caller.tell(parking_.assign() << Caller::spot_shift);
  if (reading_) {
    sleepers_.append(caller);
  } else {
    take_reading(&caller);
  }
}

Link::Waited Link::wait(BlockingCall& call, Deadline deadline, const std::stop_token& stop) {
  Caller& caller = call.caller_;
  if (caller.link_ != nullptr) {
    const Deadline limit = deadline >= caller.overdue_at_ ? Deadline::max() : deadline;
    if (wait_for(caller, {limit, stop, call.number_}) != Waited::done || caller.are_over(caller.submitted_))
      leave(caller);
  }
  switch (call.state()) {
    case Call::State::answered: return Waited::done;
    case Call::State::idle: return caller.has(Caller::was_stopped) ? Waited::stopped : Waited::timed_out;
    default: return Waited::broken;
  }
}

Link::Waited Link::wait(Caller& caller, Deadline deadline, const std::stop_token& stop) {
  {
    const std::lock_guard lock{mutex_};
    if (failure_) return caller.has(Caller::was_set) ? Waited::done : Waited::broken;
    join(caller);
  }
  const Waited waited = wait_for(caller, {deadline, stop, no_calls});
  leave(caller);
  return waited;
}

Link::Waited Link::wait_for(Caller& caller, const Until& until) noexcept {
  const bool for_calls = until.calls != no_calls;
  const auto on_stop = [this, &caller] { interrupt(caller, Caller::was_stopped); };
  std::optional<std::stop_callback<decltype(on_stop)>> registration;
  if (until.stop.stop_possible()) {
    caller.clear(Caller::was_stopped);  // by the token of an earlier wait
    registration.emplace(until.stop, on_stop);
  }
  const std::uint32_t reasons =
      Caller::was_stopped | Caller::leads | (for_calls ? 0 : Caller::was_set | Caller::link_broken);
  std::optional<BorrowedKick> kick;
  for (;;) {
    if (for_calls ? caller.are_over(until.calls) : caller.has(Caller::was_set)) return Waited::done;
    if (!for_calls && caller.has(Caller::link_broken)) return Waited::broken;
    if (caller.has(Caller::was_stopped)) return Waited::stopped;
    if (until.limit != Deadline::max() && Deadline::clock::now() >= until.limit) return Waited::timed_out;
    if (caller.has(Caller::leads)) {
      read(caller, until, kick);
    } else {
      caller.sleep(parking_, until.calls, reasons, until.limit);
    }
  }
}

/// For its thread: the caller is no longer at this link. Its calls are withdrawn, as far as they are not over.
void Link::leave(Caller& caller) noexcept {
  // As a rule it has no calls any more, and the reading was handed over as the last one was taken off.
  if (caller.submitted_ > 0 && caller.are_over(caller.submitted_) && !caller.has(Caller::leads)) {
    caller.calls_ = nullptr;
    caller.link_ = nullptr;
    return;
  }
  News news;
  bool flushes = false;
  {
    const std::lock_guard lock{mutex_};
    for (BlockingCall* call = std::exchange(caller.calls_, nullptr); call != nullptr; call = call->earlier_) {
      if (!wire_.withdraw(*call)) continue;
      --caller.in_flight_;
      --caller.submitted_;
    }
    sleepers_.remove(caller);
    if (reader_ == &caller) news.next_reader = hand_over_reading();
    flushes = corked_ && !reading_;
  }
  finish(news);
  if (flushes) flush();
  // The thread that took the others off tells so in this moment.
  if (!caller.are_over(caller.submitted_)) caller.sleep(parking_, caller.submitted_, 0, Deadline::max());
  caller.clear(Caller::leads | Caller::link_broken);
  caller.link_ = nullptr;
}

void Link::interrupt(Caller& caller, std::uint32_t why) noexcept {
  // From then on the caller may be gone.
  if (const auto thread = caller.tell(why)) return parking_.unpark(*thread);
  // Where it reads, its thread first tells where it polls, and then looks once more whether there is a reason not to. To others a kick is news
  // of nothing.
  const int kick = kick_;
  if (kick >= 0) BorrowedKick::kick(kick);
}

bool Link::withdraw(Call& call) noexcept {
  const std::lock_guard lock{mutex_};
  return wire_.withdraw(call);
}

// ---- writing --------------------------------------------------------------------------------------------------------

/// With the lock held: what was submitted, by this caller or for nobody who waits.
bool Link::is_left_to_others(const Caller* caller) noexcept {
  if (writing_ || (corked_ && reading_)) return true;
  if (caller != nullptr || !Cork::holds(*this)) return false;
  look_later();
  return true;
}

/// With the lock held, which is free while it sends. What the socket does not take is left to the reactor.
void Link::write(Lock& lock) noexcept {
  writing_ = true;
  corked_ = stuck_ = false;
  while (!failure_ && !deaf_ && !stuck_) {
    const std::string_view bytes = wire_.outgoing();
    if (bytes.empty()) break;
    lock.unlock();
    const Stream::Transfer written = write_now(bytes);
    lock.lock();
    wire_.sent(written.bytes);
    stuck_ = written.status == Stream::Status::would_block;
    // The server has closed. Why, it may have said before: whoever reads comes upon that, and then the end.
    deaf_ = written.status == Stream::Status::closed || written.status == Stream::Status::refused;
  }
  writing_ = false;
  if (stuck_) watch_for_output();
}

Stream::Transfer Link::write_now(std::string_view bytes) noexcept try {
  return stream_->write_now(bytes);
} catch (const std::bad_alloc&) {
  return {Stream::Status::closed, 0, {}};
}

void Link::flush() noexcept {
  Lock lock{mutex_};
  corked_ = false;  // whoever sends in this moment takes along what was left; those who come later send for themselves
  if (!writing_ && !failure_) write(lock);
}

// ---- the end --------------------------------------------------------------------------------------------------------

/// With the lock held; once.
void Link::break_off(Failure why, News& news) noexcept {
  if (failure_) return;
  failure_ = std::move(why);
  broken_ = true;
  news.broke = true;
  Calls lost;
  wire_.fail(lost);
  take_off(lost);
  while (Call* const call = lost.take()) news.over.add(*call);
  // What is left are callers without calls.
  while (Caller* const caller = sleepers_.first()) {
    sleepers_.remove(*caller);
    if (const auto thread = caller->tell(Caller::link_broken)) parking_.unpark(*thread);
  }
  if (reader_ != nullptr) reader_->tell(Caller::link_broken);
  stream_->shut_down();
}

void Link::fail(Failure why) noexcept {
  News news;
  {
    const std::lock_guard lock{mutex_};
    break_off(std::move(why), news);
  }
  finish(news);
}

void Link::retire(Failure why) {
  News news;
  {
    const std::lock_guard lock{mutex_};
    if (!retired_) retired_ = why;  // never changed again
    if (wire_.in_flight() == 0) break_off(std::move(why), news);
  }
  finish(news);
}

Failure Link::failure() const {
  const std::lock_guard lock{mutex_};
  if (failure_) return *failure_;
  return retired_.value_or(Failure{Failure::Kind::unreachable, "the connection is intact"});
}

bool Link::has_served() const noexcept {
  const std::lock_guard lock{mutex_};
  return wire_.answered() > login_;
}

}  // namespace redismutex::net
