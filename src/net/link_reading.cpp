// Who reads at a Link, and the reactor's part in it. The rule stands in link.hpp.

#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "net/link.hpp"
#include "net/within.hpp"

namespace redismutex::net {
namespace {

// When so many threads are woken at once, what they send goes out together.
constexpr std::size_t crowd = 8;

}  // namespace

// ---- who reads ------------------------------------------------------------------------------------------------------

/// With the lock held. Null: the reactor reads.
void Link::take_reading(Caller* caller) noexcept {
  reading_ = true;
  reader_ = caller;
  ++turns_;
  if (caller == nullptr) return;
  caller->tell(Caller::leads);
  if (watched_ == 0 || wants_pushes_ || stuck_) return;
  watched_ = 0;
  arm(stream_->fd(), 0);
}

/// With the lock held. Returns whom to wake: a thread that may give up at any time, and so is told now.
std::optional<Link::Sleeping> Link::hand_over_reading() noexcept {
  reading_ = false;
  reader_ = nullptr;
  Caller* const next = sleepers_.first();
  if (next == nullptr) {
    watch_if_needed();
    return std::nullopt;
  }
  sleepers_.remove(*next);
  reading_ = true;
  reader_ = next;
  ++turns_;
  return next->tell(Caller::leads);
}

/// One read by the caller that has the reading.
void Link::read(Caller& caller, const Until& until, std::optional<BorrowedKick>& kick) noexcept {
  if (corked_) {
    ::sched_yield();  // to those who were just woken: most of them have something to send
    flush();
  }
  const bool only_the_socket_ends_it =
      until.calls != no_calls && until.limit == Deadline::max() && !until.stop.stop_possible();
  if (only_the_socket_ends_it) {
    take_in(&caller, &Stream::read_blocking);
  } else if (stream_->has_buffered() || poll(caller, until, kick)) {
    take_in(&caller, &Stream::read_now);
  }
}

/// Sleeps until something is there to be read. False: there may be another reason to look.
bool Link::poll(Caller& caller, const Until& until, std::optional<BorrowedKick>& kick) noexcept {
  // Waits of days are cut into pieces, so that no conversion overflows.
  constexpr std::chrono::nanoseconds longest = std::chrono::hours{1};
  constexpr std::chrono::nanoseconds without_a_kick = std::chrono::milliseconds{10};
  auto left = until.limit == Deadline::max()
                  ? longest
                  : std::clamp<std::chrono::nanoseconds>(until.limit - Deadline::clock::now(), {}, longest);
  const bool is_interrupted_by_others = until.calls == no_calls || until.stop.stop_possible();
  if (is_interrupted_by_others && !kick) try {
      kick.emplace(*reactor_);
    } catch (const std::exception&) {  // no descriptor to be had
      left = std::min(left, without_a_kick);
    }
  std::array<pollfd, 2> polled{{{stream_->fd(), POLLIN, 0}, {kick ? kick->fd() : -1, POLLIN, 0}}};
  if (kick) kick_ = kick->fd();
  int ready = 0;
  if ((caller.word_ & (Caller::was_set | Caller::was_stopped | Caller::link_broken)) == 0) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    ready = ::ppoll(polled.data(), polled.size(), &timeout, nullptr);
  }
  kick_ = -1;
  if (ready <= 0) return false;
  if (polled[1].revents != 0) kick->clear();
  return polled[0].revents != 0;
}

/// One read, and what comes of it. `reader`: the caller that has the reading; null: the reactor.
void Link::take_in(Caller* reader, Read how) noexcept {
  std::array<char, 16 * 1024> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the read
  News news;
  bool has_pushes = false;
  {
    std::optional<Failure> failure;
    Lock lock{mutex_, std::defer_lock};
    try {
      Stream::Transfer got = (stream_.get()->*how)(buffer);
      lock.lock();
      if (failure_) return;
      if (got.status == Stream::Status::ok) {
        wire_.received({buffer.data(), got.bytes}, news.over, pushes_);
        if (!wire_.problem().empty()) failure = {Failure::Kind::unusable, std::string{wire_.problem()}};
      } else if (got.status == Stream::Status::closed) {
        failure = {Failure::Kind::unreachable, std::move(got.why)};
      } else if (got.status == Stream::Status::refused) {
        failure = {Failure::Kind::unusable, std::move(got.why)};
      }
    } catch (const std::bad_alloc&) {
      failure = {Failure::Kind::unreachable, out_of_memory};
      if (!lock.owns_lock()) lock.lock();
    }
    if (take_off(news.over) >= crowd) corked_ = true;
    if (!failure && retired_ && wire_.in_flight() == 0) failure = std::move(*retired_);
    if (failure) break_off(std::move(*failure), news);
    has_pushes = !pushes_.empty();
    // Not before the pushes are handled, because the next reader would overtake.
    if (reader != nullptr && !has_pushes && reader->submitted_ > 0 && reader->in_flight_ == 0 && reader_ == reader) {
      reader->clear(Caller::leads);
      news.next_reader = hand_over_reading();
    }
  }
  if (has_pushes) handle_pushes();
  finish(news);
}

void Link::handle_pushes() noexcept {
  try {
    for (const Reply& push : pushes_) handlers_.on_push(*push);
  } catch (const std::exception& error) {
    fail(failure_of(Failure::Kind::unreachable, [&] { return std::string{error.what()}; }));
  }
  pushes_.clear();
}

/// With the lock held, before the calls are told that they are over. Returns how many threads wait for them.
std::size_t Link::take_off(const Calls& over) noexcept {
  std::size_t threads = 0;
  for (Call* call = over.first_; call != nullptr; call = call->next_) {
    if (!call->blocks_) continue;
    Caller& caller = static_cast<BlockingCall&>(*call).caller_;
    if (--caller.in_flight_ == 0) sleepers_.remove(caller);
    ++threads;
  }
  return threads;
}

/// Without the lock.
void Link::finish(News& news) noexcept {
  ParkingLot::Wakeups wakeups{parking_};
  while (Call* const call = news.over.take()) {
    if (call->blocks_) {
      if (const auto thread = static_cast<BlockingCall&>(*call).caller_.tell(Caller::one_over)) wakeups.add(*thread);
    } else if (call->done_ != nullptr) {
      call->done_(*call);
    }
  }
  if (news.next_reader) wakeups.add(*news.next_reader);
  if (news.broke && handlers_.on_broken) handlers_.on_broken(*this);
}

// ---- the reactor's part ---------------------------------------------------------------------------------------------

/// With the lock held, whenever nobody may be reading any more. For pushes somebody always watches, looks later, or reads; whoever reads
/// comes here when it leaves.
void Link::watch_if_needed() noexcept {
  if (reading_) return;
  const bool awaits_answers = wire_.in_flight() > 0;
  if ((!awaits_answers && !wants_pushes_) || loop_watches() || watches_input()) return;
  if (!awaits_answers && looks_later_) return;
  std::uint32_t events = EPOLLIN;
  // What TLS has read already no socket tells of: but it can be written to, and so is ready.
  if (stuck_ || stream_->has_buffered()) events |= EPOLLOUT;
  watch_for(events);
}

/// With the lock held, and whoever reads: besides what is watched for already.
void Link::watch_for_output() noexcept {
  if ((watched_ & EPOLLOUT) == 0) watch_for(watched_ | EPOLLOUT);
}

/// With the lock held.
void Link::watch_for(std::uint32_t events) noexcept {
  if (failure_) return;
  watched_ = arm(stream_->fd(), events) ? events : 0;
  if (watched_ == 0) look_later();
}

bool Link::watches_input() const noexcept { return (watched_ & EPOLLIN) != 0; }

void Link::ready(std::uint32_t events) noexcept {
  Lock lock{mutex_};
  watched_ = 0;
  if (failure_) return;
  const bool only_input = events == EPOLLIN;
  if (stuck_ && !only_input) write(lock);
  if (stuck_) watch_for_output();
  if (reading_ || is_left_to_loop()) {
    if (wants_pushes_ || is_left_to_loop()) look_later();
    return;
  }
  read_for_nobody(lock);
}

bool Link::read_now() noexcept {
  Lock lock{mutex_};
  if (failure_ || reading_) return false;
  read_for_nobody(lock);
  return true;
}

/// With the lock held, and the reading free: all that is there. Returns without the lock.
void Link::read_for_nobody(Lock& lock) noexcept {
  take_reading(nullptr);
  lock.unlock();
  if (corked_) flush();
  do {
    take_in(nullptr, &Stream::read_now);
  } while (!broken_ && stream_->has_buffered());
  News news;
  lock.lock();
  news.next_reader = hand_over_reading();
  const bool flushes = corked_ && !reading_;
  lock.unlock();
  finish(news);
  if (flushes) flush();
}

void Link::want_pushes(bool wanted) noexcept {
  const std::lock_guard lock{mutex_};
  wants_pushes_ = wanted;
  watch_if_needed();
}

/// With the lock held.
void Link::look_later() noexcept {
  if (std::exchange(looks_later_, true)) return;
  seen_turn_ = turns_;
  look_timer_.set(boot_now() + push_pause);
}

void Link::look() noexcept {
  Lock lock{mutex_};
  looks_later_ = false;
  if (failure_) return;
  const bool is_left_for_long = wire_.unsent() > 0 && !writing_ && !stuck_ && !(corked_ && reading_);
  if (is_left_for_long) write(lock);
  if (stuck_) watch_for_output();  // if it could not be watched before
  if (is_left_to_loop()) return look_after_loop(lock);
  if (wants_pushes_ && !watches_input() && turns_ != seen_turn_) return look_later();
  watch_if_needed();
}

void Link::look_for_overdue() noexcept {
  // An answer that is there is not overdue, but unread, as after the whole process was stopped: it is given so much time, so often.
  constexpr std::chrono::milliseconds grace{100};
  constexpr int most_graces = 10;
  News news;
  Lock lock{mutex_};
  const Deadline next = wire_.next_deadline();
  timed_ = !failure_ && next != Deadline::max();
  if (!timed_) return;
  const auto left = next - Deadline::clock::now();
  if (left.count() > 0) {
    graces_ = 0;
    return overdue_timer_.set(boot_now() + left);
  }
  if (is_readable() && graces_++ < most_graces) {
    watch_if_needed();
    return overdue_timer_.set(boot_now() + grace);
  }
  was_silent_ = true;
  break_off(overdue(), news);
  lock.unlock();
  finish(news);
}

bool Link::is_readable() const noexcept {
  pollfd polled{stream_->fd(), POLLIN, 0};
  return ::poll(&polled, 1, 0) > 0;
}

Failure Link::overdue() const noexcept {
  return failure_of(Failure::Kind::unreachable, [this] {
    return (stuck_ ? "the server takes no more data: no answer" : "no answer") + within_command_timeout(reply_timeout_);
  });
}

}  // namespace redismutex::net
