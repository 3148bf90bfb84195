#include "net/link.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <new>
#include <utility>

namespace redismutex::net {
namespace {

/// A command in the server's protocol.
class Formatted {
 public:
  explicit Formatted(std::span<const std::string_view> arguments) {
    constexpr std::size_t most = 16;
    std::array<const char*, most> texts{};
    std::array<std::size_t, most> sizes{};
    const std::size_t count = std::min(arguments.size(), most);
    for (std::size_t i = 0; i < count; ++i) {
      texts[i] = arguments[i].data();
      sizes[i] = arguments[i].size();
    }
    const long long size = redisFormatCommandArgv(&bytes_, static_cast<int>(count), texts.data(), sizes.data());
    if (size < 0) throw std::bad_alloc{};
    size_ = static_cast<std::size_t>(size);
  }
  ~Formatted() { redisFreeCommand(bytes_); }
  Formatted(const Formatted&) = delete;
  Formatted& operator=(const Formatted&) = delete;

  std::string_view bytes() const { return {bytes_, size_}; }

 private:
  char* bytes_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace

void Link::Sleepers::add(Event& event) {
  event.asleep_ = true;
  event.previous_ = last_;
  event.next_ = nullptr;
  (last_ == nullptr ? first_ : last_->next_) = &event;
  last_ = &event;
}

void Link::Sleepers::remove(Event& event) {
  if (!event.asleep_) return;
  event.asleep_ = false;
  (event.previous_ == nullptr ? first_ : event.previous_->next_) = event.next_;
  (event.next_ == nullptr ? last_ : event.next_->previous_) = event.previous_;
}

Link::Link(std::unique_ptr<Stream> stream, std::chrono::milliseconds reply_timeout, PushHandler on_push)
    : stream_{std::move(stream)},
      reply_timeout_{reply_timeout},
      on_push_{std::move(on_push)},
      reader_{redisReaderCreate()} {
  if (!reader_) throw std::bad_alloc{};
  reader_->maxelements = 1024;
}

Link::~Link() {
  // More than closing: a process that was forked while this link was being dialled has a copy of its descriptor.
  stream_->shut_down();
}

// ---- writing --------------------------------------------------------------------------------------------------------

void Link::send(std::initializer_list<Outgoing> commands) {
  const Deadline overdue_at = std::chrono::steady_clock::now() + reply_timeout_;
  std::unique_lock lock{mutex_};
  for (const Outgoing& command : commands) {
    if (command.call != nullptr) command.call->overdue_at_ = overdue_at;
    if (failure_) {
      if (command.call != nullptr) wake(*command.call, &Event::set_);
      continue;
    }
    const std::size_t before = outgoing_.size();
    outgoing_.append(Formatted{command.arguments}.bytes());
    queued_bytes_ += outgoing_.size() - before;
    if (command.call != nullptr) command.call->ends_at_ = queued_bytes_;
    in_flight_.push_back({command.call, overdue_at});
  }
  if (!writing_) write(lock);
  if (outgoing_.size() > max_unsent_size) {
    lock.unlock();
    fail({Failure::Kind::unreachable, "the server takes no more data"});
  }
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
    const Stream::Written written = stream_->write_now(sending_);
    sending_.erase(0, written.bytes);
    sent_bytes_ += written.bytes;
    status = written.status;
    lock.lock();
  }
  // The server has closed. Why, it may have said before: who waits for an answer reads that, and then the end.
  if (status == Stream::Status::closed) deaf_ = true;
  const bool stuck = status == Stream::Status::would_block;
  const bool was_stuck = stuck_.exchange(stuck);
  if (stuck && !was_stuck && leader_ != nullptr) kick_.kick();  // it is to look out for that too
  writing_ = false;
}

// ---- waiting --------------------------------------------------------------------------------------------------------

Link::Waited Link::wait(Call& call, Deadline deadline, const std::stop_token& stop) {
  const bool only_the_socket_ends_it = deadline >= call.overdue_at_ && !stop.stop_possible();
  const Waited waited = wait_for(call, std::min(deadline, call.overdue_at_), stop,
                                 only_the_socket_ends_it ? Reading::blocking : Reading::interruptible);
  if (waited == Waited::timed_out && deadline >= call.overdue_at_) {
    fail_overdue();
  } else if ((waited == Waited::timed_out || waited == Waited::stopped) && withdraw(call)) {
    return waited;
  }
  // Whoever took the call off the line, a reader with its reply or the failure of the link, sets it in this moment.
  await_set(call);
  return call.reply_ ? Waited::done : Waited::broken;
}

Link::Waited Link::wait(Event& event, Deadline deadline, const std::stop_token& stop) {
  const Waited waited = wait_for(event, deadline, stop, Reading::interruptible);
  // Whoever set it has let go of it only then, and the event may go when we return.
  if (waited == Waited::done) await_set(event);
  return waited;
}

Link::Waited Link::wait_for(Event& event, Deadline deadline, const std::stop_token& stop, Reading reading) {
  const auto on_stop = [this, &event] { interrupt(event, &Event::stopped_); };
  std::optional<std::stop_callback<decltype(on_stop)>> registration;
  if (stop.stop_possible()) registration.emplace(stop, on_stop);
  for (;;) {
    if (event.set_) return Waited::done;
    if (broken_) return Waited::broken;
    if (event.stopped_) return Waited::stopped;
    if (std::chrono::steady_clock::now() >= deadline) return Waited::timed_out;
    sleep_or_lead(event, deadline, reading);
  }
}

void Link::sleep_or_lead(Event& event, Deadline deadline, Reading reading) {
  {
    std::unique_lock lock{mutex_};
    if (reading_) {
      sleepers_.add(event);
      lock.unlock();
      sleep(event, deadline);
      lock.lock();
      sleepers_.remove(event);
      if (!event.leads_.exchange(false)) return;
    }
    reading_ = true;
    leader_ = &event;
  }
  lead(event, deadline, reading);
  const std::lock_guard lock{mutex_};
  leader_ = nullptr;
  hand_over_reading();
}

void Link::sleep(Event& event, Deadline deadline) {
  std::unique_lock lock{event.mutex_};
  event.changed_.wait_until(lock, deadline, [&] { return event.set_ || event.stopped_ || event.leads_ || broken_; });
}

void Link::set(Event& event) { interrupt(event, &Event::set_); }

void Link::interrupt(Event& event, std::atomic<bool> Event::*why) {
  // Under the lock, because the event may be gone as soon as its thread sees the flag.
  const std::lock_guard lock{mutex_};
  const bool leads = leader_ == &event;
  wake(event, why);
  if (leads) kick_.kick();
}

void Link::wake(Event& event, std::atomic<bool> Event::*why) {
  // Notified under the event's own lock: its thread can not return, and take the event away, before we are done.
  const std::lock_guard lock{event.mutex_};
  event.*why = true;
  event.changed_.notify_one();
}

void Link::await_set(Event& event) {
  std::unique_lock lock{event.mutex_};
  event.changed_.wait(lock, [&] { return event.set_.load(); });
}

bool Link::withdraw(Call& call) {
  const std::lock_guard lock{mutex_};
  const auto place =
      std::find_if(in_flight_.begin(), in_flight_.end(), [&](const Sent& sent) { return sent.call == &call; });
  if (place == in_flight_.end()) return false;
  place->call = nullptr;
  return true;
}

// ---- reading --------------------------------------------------------------------------------------------------------

void Link::lead(Event& event, Deadline deadline, Reading reading) {
  while (!event.set_ && !event.stopped_ && !broken_) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left.count() <= 0) return;
    // The kernel's own timeout starts anew with each read: one that begins late would end late. And an answer comes only
    // to what was sent, which may be left to us.
    const bool may_block = left > reply_timeout_ - reply_timeout_ / 4 && sent_bytes_ >= event.ends_at_;
    if (!read_once(deadline, may_block ? reading : Reading::interruptible)) reading = Reading::interruptible;
  }
}

bool Link::read_once(Deadline deadline, Reading reading) {
  std::array<char, 16 * 1024> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the read
  const bool stuck = stuck_;
  if ((reading == Reading::interruptible || stuck) && !stream_->has_buffered()) {
    const short events = stuck ? POLLIN | POLLOUT : POLLIN;
    switch (poll_until(stream_->fd(), events, kick_, deadline)) {
      case Polled::kicked: kick_.clear(); return true;
      case Polled::timed_out: fail_if_overdue(); return true;
      case Polled::ready: break;
    }
    if (stuck) {
      std::unique_lock lock{mutex_};
      if (!writing_) write(lock);
      reading = Reading::interruptible;
    }
  }
  Stream::Read read = reading == Reading::blocking ? stream_->read_blocking(buffer) : stream_->read_now(buffer);
  if (read.status == Stream::Status::closed) fail({Failure::Kind::unreachable, std::move(read.why)});
  if (read.status == Stream::Status::ok) take_in(std::span{buffer}.first(read.bytes));
  return read.status != Stream::Status::would_block;
}

void Link::take_in(std::span<const char> bytes) {
  redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
  unfinished_ += bytes.size();
  for (;;) {
    void* parsed = nullptr;
    if (redisReaderGetReply(reader_.get(), &parsed) != REDIS_OK) {
      fail({Failure::Kind::unusable, std::string{"not the protocol of a Redis server: "} + reader_->errstr});
      break;
    }
    if (parsed == nullptr) break;
    Reply reply{static_cast<redisReply*>(parsed)};
    unfinished_ = reader_->len - reader_->pos;
    if (reply->type == REDIS_REPLY_PUSH) {
      on_push_(*reply);
    } else {
      arrived_.push_back(std::move(reply));
    }
  }
  if (unfinished_ > max_reply_size || reader_->ridx > max_reply_depth) {
    fail({Failure::Kind::unusable, "a reply of more than " + std::to_string(max_reply_size) + " bytes, or more than " +
                                       std::to_string(max_reply_depth) + " levels"});
  }
  complete_arrived();
}

void Link::complete_arrived() {
  bool unasked = false;
  {
    const std::lock_guard lock{mutex_};
    for (Reply& reply : arrived_) {
      if (in_flight_.empty()) {
        unasked = !failure_;
        break;
      }
      if (Call* call = in_flight_.front().call; call != nullptr) {
        sleepers_.remove(*call);
        call->reply_ = std::move(reply);
        completed_.push_back(call);
      }
      in_flight_.pop_front();
    }
  }
  replies_ += arrived_.size();
  arrived_.clear();
  for (Call* call : completed_) wake(*call, &Event::set_);
  completed_.clear();
  if (unasked) fail({Failure::Kind::unusable, "a reply that nobody asked for"});
}

void Link::hand_over_reading() {
  Event* next = sleepers_.first();
  reading_ = next != nullptr;
  if (next == nullptr) return;
  sleepers_.remove(*next);
  wake(*next, &Event::leads_);
}

// ---- the end --------------------------------------------------------------------------------------------------------

void Link::fail(Failure failure) {
  std::deque<Sent> lost;
  {
    const std::lock_guard lock{mutex_};
    if (failure_) return;
    failure_ = std::move(failure);
    broken_ = true;
    outgoing_.clear();
    lost.swap(in_flight_);
    for (const Sent& sent : lost) {
      if (sent.call != nullptr) sleepers_.remove(*sent.call);
    }
    while (!sleepers_.empty()) {
      Event& event = *sleepers_.first();
      sleepers_.remove(event);
      const std::lock_guard event_lock{event.mutex_};
      event.changed_.notify_one();
    }
  }
  stream_->shut_down();
  kick_.kick();
  for (const Sent& sent : lost) {
    if (sent.call != nullptr) wake(*sent.call, &Event::set_);
  }
}

void Link::fail_overdue() {
  const std::string timeout = std::to_string(reply_timeout_.count()) + " ms";
  fail({Failure::Kind::unreachable, (stuck_ ? "the server takes no more data: no answer within the command timeout of "
                                            : "no answer within the command timeout of ") +
                                        timeout});
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
  return failure_.value_or(Failure{Failure::Kind::unreachable, "the connection is intact"});
}

}  // namespace redismutex::net
