#include "net/link.hpp"

#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <exception>
#include <new>
#include <utility>

#include "net/command.hpp"

namespace redismutex::net {
namespace {

std::uint64_t next_link_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

// When so many are woken at once, what they send goes out together.
constexpr std::size_t crowd = 8;

/// Never without a text, though it may be this one: short enough for a string without an allocation.
constexpr const char* out_of_memory = "out of memory";

template <class MakeText>
Failure failure_of(Failure::Kind kind, const MakeText& make_text) noexcept {
  try {
    return {kind, make_text()};
  } catch (const std::bad_alloc&) {
    return {kind, out_of_memory};
  }
}

bool confirms_subscription(ReplyView push) {
  if (push.size() == 0) return false;
  const std::string_view kind = push[0].text();
  return kind == "subscribe" || kind == "ssubscribe";
}

}  // namespace

Call::~Call() {
  if (link_ != nullptr && !is_set()) link_->forget(*this);
}

void Link::Sleepers::add(Event& event) {
  event.in_line_ = true;
  event.previous_ = last_;
  event.next_ = nullptr;
  (last_ == nullptr ? first_ : last_->next_) = &event;
  last_ = &event;
}

void Link::Sleepers::remove(Event& event) {
  if (!event.in_line_) return;
  event.in_line_ = false;
  (event.previous_ == nullptr ? first_ : event.previous_->next_) = event.next_;
  (event.next_ == nullptr ? last_ : event.next_->previous_) = event.previous_;
}

Link::Link(std::unique_ptr<Stream> stream, std::chrono::milliseconds reply_timeout, PushHandler on_push)
    : id_{next_link_id()}, stream_{std::move(stream)}, reply_timeout_{reply_timeout}, on_push_{std::move(on_push)} {}

Link::Link(LoggedIn logged_in, std::chrono::milliseconds reply_timeout, PushHandler on_push)
    : id_{next_link_id()},
      greeting_{std::move(logged_in.greeting)},
      login_commands_{logged_in.wire.in_flight()},
      stream_{std::move(logged_in.stream)},
      reply_timeout_{reply_timeout},
      on_push_{std::move(on_push)},
      outgoing_{logged_in.wire.outgoing()},
      queued_bytes_{outgoing_.size()},
      in_flight_(login_commands_, Sent{nullptr, std::chrono::steady_clock::now() + reply_timeout}) {}

// ---- writing --------------------------------------------------------------------------------------------------------

void Link::send(std::span<const Outgoing> commands) {
  const Deadline overdue_at = std::chrono::steady_clock::now() + reply_timeout_;
  std::unique_lock lock{mutex_};
  try {
    const bool over = failure_ || retired_;
    if (!over) {
      for (const Outgoing& command : commands) queue(command, overdue_at);
      if (!writing_ && !corked_) write(lock);
      if (outgoing_.size() <= max_unsent_size) return;
    }
    lock.unlock();
    if (!over) return fail({Failure::Kind::unreachable, "the server takes no more data"});  // which wakes ours, too
  } catch (const std::bad_alloc&) {  // half a command may be in the buffer, or the place of a call be missing
    if (lock.owns_lock()) lock.unlock();
    fail({Failure::Kind::unreachable, out_of_memory});
  }
  for (const Outgoing& command : commands) {
    if (command.call != nullptr) command.call->wake(Event::was_set, parking_);
  }
}

void Link::queue(const Outgoing& command, Deadline overdue_at) {
  const std::size_t before = outgoing_.size();
  append_command(outgoing_, command.arguments);
  queued_bytes_ += outgoing_.size() - before;
  in_flight_.push_back({command.call, overdue_at});
  if (command.call == nullptr) return;
  command.call->link_ = this;
  command.call->overdue_at_ = overdue_at;
  command.call->ends_at_ = queued_bytes_;
  command.call->assign_spot(parking_);
}

/// Sends what the server takes now. What is left goes out with the next command, or by the leader when the server takes
/// it, whichever comes first.
void Link::write(std::unique_lock<std::mutex>& lock) {
  writing_ = true;
  Stream::Status status = Stream::Status::ok;
  while (status == Stream::Status::ok && !failure_ && !deaf_) {
    if (sending_.empty()) std::swap(outgoing_, sending_);
    if (sending_.empty()) break;
    lock.unlock();
    const Stream::Transfer written = write_now();
    sent_bytes_ += written.bytes;
    sending_at_ += written.bytes;
    if (sending_at_ == sending_.size()) {
      sending_.clear();
      sending_at_ = 0;
    }
    status = written.status;
    lock.lock();
  }
  // The server has closed. Why, it may have said before: who waits for an answer reads that, and then the end.
  if (status == Stream::Status::closed || status == Stream::Status::refused) deaf_ = true;
  const bool stuck = status == Stream::Status::would_block;
  const bool was_stuck = stuck_.exchange(stuck);
  if (stuck && !was_stuck) {  // who polls is to look out for that too
    if (leader_ != nullptr) kick_.kick();
    if (attendant_ != nullptr) attendants_kick_.kick();
  }
  writing_ = false;
}

Stream::Transfer Link::write_now() noexcept {
  try {
    return stream_->write_now(std::string_view{sending_}.substr(sending_at_));
  } catch (const std::exception&) {  // no memory for what it has to say
    return {.status = Stream::Status::closed, .bytes = 0, .why = {}};
  }
}

void Link::flush() {
  if (!corked_) return;
  std::unique_lock lock{mutex_};
  corked_ = false;
  if (!writing_ && !outgoing_.empty()) write(lock);
}

short Link::events_to_poll_for() const noexcept { return stuck_ ? POLLIN | POLLOUT : POLLIN; }

// ---- waiting --------------------------------------------------------------------------------------------------------

Link::Waited Link::wait(Call& call, Deadline deadline, const std::stop_token& stop, Sleep sleep) {
  const bool only_the_socket_ends_it = deadline >= call.overdue_at_ && !stop.stop_possible();
  const Waited waited =
      wait_for(call, std::min(deadline, call.overdue_at_), stop,
               only_the_socket_ends_it && sleep == Sleep::in_recv ? Reading::blocking : Reading::interruptible);
  if (waited == Waited::done) return call.reply_ ? Waited::done : Waited::broken;
  if (waited == Waited::timed_out && deadline >= call.overdue_at_) {
    fail_overdue();
  } else if ((waited == Waited::timed_out || waited == Waited::stopped) && withdraw(call)) {
    flush();
    return waited;
  }
  // Whoever took the call off the line, a reader with its reply or the failure of the link, sets it in this moment.
  await_set(call);
  return call.reply_ ? Waited::done : Waited::broken;
}

Link::Waited Link::wait(Event& event, Deadline deadline, const std::stop_token& stop) {
  return wait_for(event, deadline, stop, Reading::interruptible);
}

Link::Waited Link::wait_for(Event& event, Deadline deadline, const std::stop_token& stop, Reading reading) {
  const auto on_stop = [this, &event] { interrupt(event, Event::was_stopped); };
  std::optional<std::stop_callback<decltype(on_stop)>> registration;
  if (stop.stop_possible()) {
    event.take(Event::was_stopped);  // by the token of an earlier wait
    registration.emplace(stop, on_stop);
  }
  for (;;) {
    if (event.is_set()) return Waited::done;
    if (broken_) return Waited::broken;
    if (event.is_stopped()) return Waited::stopped;
    if (std::chrono::steady_clock::now() >= deadline) return Waited::timed_out;
    sleep_or_lead(event, deadline, reading);
  }
}

void Link::sleep_or_lead(Event& event, Deadline deadline, Reading reading) {
  {
    std::unique_lock lock{mutex_};
    event.assign_spot(parking_);
    if (event.off_the_line_) {
      lock.unlock();
      return await_set(event);
    }
    if (failure_) return;
    if (reading_) {
      sleepers_.add(event);
      lock.unlock();
      event.sleep(parking_, deadline);
      // Whoever set it took it out of the line before; so there is no need for the lock, which is probably theirs still.
      // But one that had been handed the reading before that has to hand it on.
      if (event.is_set() && !event.has(Event::leads)) return;
      lock.lock();
      sleepers_.remove(event);
      if ((event.take(Event::leads | Event::link_broken | Event::asleep) & Event::leads) == 0) return;
    }
    reading_ = true;
    leader_ = &event;
    leader_thread_ = std::this_thread::get_id();
    ++turns_;
  }
  lead(event, deadline, reading);
  const std::lock_guard lock{mutex_};
  leader_ = nullptr;
  hand_over_reading();
}

void Link::set(Event& event) { interrupt(event, Event::was_set); }

void Link::interrupt(Event& event, Event::State why) {
  // Under the lock, because the event may be gone as soon as its thread sees why.
  const std::lock_guard lock{mutex_};
  const bool leads = leader_ == &event && leader_thread_ != std::this_thread::get_id();  // else it handles a push
  const bool attends = attendant_ == &event;
  if (why == Event::was_set) {
    sleepers_.remove(event);
    event.off_the_line_ = true;
  }
  event.wake(why, parking_);
  if (leads) kick_.kick();
  if (attends) attendants_kick_.kick();
}

/// Sleeps until it is set, which is about to be done.
void Link::await_set(Event& event) { event.sleep(parking_, Deadline::max(), Event::was_set); }

bool Link::withdraw(Call& call) {
  const std::lock_guard lock{mutex_};
  const auto place =
      std::find_if(in_flight_.begin(), in_flight_.end(), [&](const Sent& sent) { return sent.call == &call; });
  if (place == in_flight_.end()) return false;
  place->call = nullptr;
  call.link_ = nullptr;
  return true;
}

/// Drops its reply, whenever it comes.
void Link::forget(Call& call) {
  if (!withdraw(call)) await_set(call);
}

// ---- reading --------------------------------------------------------------------------------------------------------

void Link::lead(Event& event, Deadline deadline, Reading reading) {
  while (!event.is_set() && !event.is_stopped() && !broken_) {
    if (corked_) {
      ::sched_yield();  // to those who were just woken: most of them have something to send
      flush();
    }
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left.count() <= 0) return;
    // The kernel's own timeout starts anew with each read: one that begins late would end late. And an answer comes only
    // to what was sent, which may be left to us.
    const bool may_block = left > reply_timeout_ - reply_timeout_ / 4 && sent_bytes_ >= event.ends_at_;
    if (!read_once(deadline, may_block ? reading : Reading::interruptible)) reading = Reading::interruptible;
  }
}

/// False if there was nothing. Whatever goes wrong breaks the link, so that the reading is always handed over.
bool Link::read_once(Deadline deadline, Reading reading) try {
  std::array<char, 16 * 1024> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the read
  if (reading == Reading::blocking && stuck_) reading = Reading::interruptible;
  if (reading == Reading::interruptible && !stream_->has_buffered()) {
    switch (poll_until(stream_->fd(), events_to_poll_for(), kick_, deadline)) {
      case Polled::kicked: kick_.clear(); return true;
      case Polled::timed_out: fail_if_overdue(); return true;
      case Polled::ready: break;
    }
  }
  if (stuck_) {
    std::unique_lock lock{mutex_};
    if (!writing_) write(lock);
  }
  Stream::Transfer read = reading == Reading::blocking ? stream_->read_blocking(buffer) : stream_->read_now(buffer);
  if (read.status == Stream::Status::ok) take_in(std::span{buffer}.first(read.bytes));
  if (read.status == Stream::Status::closed) {
    fail({Failure::Kind::unreachable, std::move(read.why)});
  } else if (read.status == Stream::Status::refused) {
    fail({Failure::Kind::unusable, std::move(read.why)});
  }
  return read.status != Stream::Status::would_block;
} catch (const std::exception& error) {
  fail(failure_of(Failure::Kind::unreachable, [&] { return std::string{error.what()}; }));
  return true;
}

/// For who has taken the reading without waiting for anything, and gives it back.
void Link::read_at_once() {
  flush();
  do {
    read_once(Deadline::min(), Reading::at_once);
  } while (!broken_ && stream_->has_buffered());
  const std::lock_guard lock{mutex_};
  hand_over_reading();
}

void Link::take_in_arrived() {
  {
    const std::lock_guard lock{mutex_};
    if (reading_ || failure_) return;
    reading_ = true;
    ++turns_;
  }
  read_at_once();
}

void Link::take_in(std::span<const char> bytes) {
  resp_.feed({bytes.data(), bytes.size()});
  while (const auto reply = resp_.next()) {
    if (reply->type() == ReplyType::push && !confirms_subscription(*reply)) {
      on_push_(*reply);
    } else {
      arrived_.emplace_back(*reply);
    }
  }
  complete_arrived();
  if (!resp_.problem().empty()) fail({Failure::Kind::unusable, resp_.problem()});
}

void Link::complete_arrived() {
  bool unasked = false;
  bool retires = false;
  completed_.reserve(arrived_.size());  // what is taken off the line is set, without fail
  {
    const std::lock_guard lock{mutex_};
    for (Reply& reply : arrived_) {
      if (in_flight_.empty()) {
        unasked = !failure_;
        break;
      }
      if (Call* call = in_flight_.front().call; call != nullptr) {
        sleepers_.remove(*call);
        call->off_the_line_ = true;
        call->reply_ = std::move(reply);
        completed_.push_back(call);
      }
      in_flight_.pop_front();
    }
    // Those who are about to be woken will want to send at once: their commands go out together, when all are awake, or,
    // if they are many, when they have had their time.
    corked_ = corked_ || completed_.size() > 1;
    retires = retired_ && in_flight_.empty();
  }
  replies_ += arrived_.size();
  arrived_.clear();
  wake(completed_);
  if (completed_.size() < crowd) flush();
  completed_.clear();
  if (unasked) fail({Failure::Kind::unusable, "a reply that nobody asked for"});
  if (retires) fail(*retired_);
}

/// Who waits for these answers, or for the failure that is one, too.
void Link::wake(const std::vector<Call*>& calls) {
  ParkingLot::Wakeups wakeups{parking_};
  for (Call* call : calls) {
    if (const auto spot = call->note(Event::was_set)) wakeups.add(*spot);
  }
}

void Link::hand_over_reading() {
  Event* next = sleepers_.first();
  reading_ = next != nullptr;
  if (next != nullptr) {
    sleepers_.remove(*next);
    next->wake(Event::leads, parking_);
  } else if (attendant_waits_) {
    attendant_waits_ = false;
    attendant_->wake(Event::nobody_reads, parking_);
  }
}

// ---- the end --------------------------------------------------------------------------------------------------------

void Link::fail(Failure failure) noexcept {
  {
    const std::lock_guard lock{mutex_};
    if (failure_) return;
    failure_ = std::move(failure);
    broken_ = true;
    outgoing_.clear();
    lost_.swap(in_flight_);
    for (const Sent& sent : lost_) {
      if (sent.call == nullptr) continue;
      sleepers_.remove(*sent.call);
      sent.call->off_the_line_ = true;
    }
    while (!sleepers_.empty()) {
      Event& event = *sleepers_.first();
      sleepers_.remove(event);
      event.wake(Event::link_broken, parking_);
    }
    if (attendant_ != nullptr) attendant_->wake(Event::link_broken, parking_);
  }
  stream_->shut_down();
  kick_.kick();
  attendants_kick_.kick();
  for (const Sent& sent : lost_) {
    if (sent.call != nullptr) sent.call->wake(Event::was_set, parking_);
  }
}

void Link::retire(Failure why) {
  {
    const std::lock_guard lock{mutex_};
    if (!retired_) retired_ = why;  // never changed again
    if (!in_flight_.empty()) return;
  }
  fail(std::move(why));
}

void Link::fail_overdue() noexcept {
  fail(failure_of(Failure::Kind::unreachable, [this] {
    return (stuck_ ? "the server takes no more data: no answer within the command timeout of "
                   : "no answer within the command timeout of ") +
           std::to_string(reply_timeout_.count()) + " ms";
  }));
}

/// Nothing has come until now. If somebody should have had an answer who did not wait that long, nobody else needs to.
void Link::fail_if_overdue() {
  bool overdue = false;
  {
    const std::lock_guard lock{mutex_};
    overdue = !in_flight_.empty() && in_flight_.front().overdue_at <= std::chrono::steady_clock::now();
  }
  if (overdue) fail_overdue();
}

Failure Link::failure() const {
  const std::lock_guard lock{mutex_};
  if (failure_) return *failure_;
  return retired_.value_or(Failure{Failure::Kind::unreachable, "the connection is intact"});
}

}  // namespace redismutex::net
