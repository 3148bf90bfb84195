// An event loop of the program that reads at a Link: rule 5 in link.hpp.

#include <sys/epoll.h>

#include <utility>

#include "net/link.hpp"

namespace redismutex::net {

void Link::set_loop(std::unique_ptr<LoopWatch> watch) noexcept {
  const std::lock_guard lock{mutex_};
  loop_.swap(watch);
  awaited_call_ = 0;
  loop_stalls_ = false;
  watch_if_needed();
}

/// With the lock held, and the reading free: whether the loop watches, from now on or already. What TLS has read already no loop is told of.
bool Link::loop_watches() noexcept {
  if (!loop_ || loop_stalls_ || failure_ || stream_->has_buffered()) return false;
  if (awaited_call_ == 0) {
    if (!loop_->arm(loop_calls_ + 1)) return false;
    awaited_call_ = ++loop_calls_;
  }
  if (!watches_input()) look_later();
  return true;
}

/// With the lock held: it is the loop that is to read what comes.
bool Link::is_left_to_loop() const noexcept { return awaited_call_ != 0 && !loop_stalls_ && !stream_->has_buffered(); }

/// With the lock held. Returns without it, if the reactor reads.
void Link::look_after_loop(Lock& lock) noexcept {
  if (turns_ != seen_turn_) return look_later();
  if (reading_) return;  // whoever reads comes to watch_if_needed() when it leaves
  if (is_readable()) {
    loop_stalls_ = true;
    return read_for_nobody(lock);
  }
  if (wire_.in_flight() > 0 || wants_pushes_) watch_for(watched_ | EPOLLIN);
}

void Link::read_in_loop(std::uint64_t number) noexcept {
  Lock lock{mutex_};
  if (number != awaited_call_) return;
  awaited_call_ = 0;
  loop_stalls_ = false;
  if (!failure_ && !reading_) read_for_nobody(lock);
}

void Link::call_off_loop() noexcept {
  const std::lock_guard lock{mutex_};
  if (!loop_) return;
  loop_->disarm();
  awaited_call_ = 0;
  loop_stalls_ = false;
  watch_if_needed();
}

}  // namespace redismutex::net
