// How a background thread reads what comes while no caller does. Everything here gives way to callers.

#include <poll.h>

#include <algorithm>
#include <exception>

#include "net/link.hpp"

namespace redismutex::net {

Link::Waited Link::attend(Event& end, Deadline deadline) {
  {
    const std::lock_guard lock{mutex_};
    attendant_ = &end;
    end.assign_spot(parking_);
  }
  end.take(Event::link_broken | Event::asleep);  // of a link that it was used with before
  const Waited waited = attend_until(end, deadline);
  const std::lock_guard lock{mutex_};
  attendant_ = nullptr;
  attendants_kick_.clear();
  return waited;
}

Link::Waited Link::attend_until(Event& end, Deadline deadline) try {
  Attendance attendance;
  for (;;) {
    if (end.is_set()) return Waited::done;
    if (broken_) return Waited::broken;
    if (std::chrono::steady_clock::now() >= deadline) return Waited::timed_out;
    if (!attendance_begins(attendance)) {
      stand_aside(end, deadline, attendance);
      continue;
    }
    switch (poll_until(stream_->fd(), events_to_poll_for(), attendants_kick_, deadline)) {
      case Polled::kicked: attendants_kick_.clear(); continue;
      case Polled::timed_out: fail_if_overdue(); continue;
      case Polled::ready: break;
    }
    if (attendant_takes_reading(attendance)) {
      read_at_once();
    } else {
      stand_aside(end, deadline, attendance);
    }
  }
} catch (const std::exception& error) {
  fail({Failure::Kind::unreachable, error.what()});
  return Waited::broken;
}

/// Whether nobody reads at the moment.
bool Link::attendance_begins(Attendance& attendance) {
  const std::lock_guard lock{mutex_};
  attendance.replies = replies_;
  return !reading_;
}

/// Something has come. It is the attendant's if no caller reads, has read since the attendant looked, or is about to.
bool Link::attendant_takes_reading(Attendance& attendance) {
  const std::lock_guard lock{mutex_};
  const bool callers_read = reading_ || failure_ || replies_ != attendance.replies;
  const bool awaited =
      std::any_of(in_flight_.begin(), in_flight_.end(), [](const Sent& sent) { return sent.call != nullptr; });
  // Who has sent a command reads the answer in the next instant. Who has not after a whole pause does something else.
  const bool yields = callers_read || (awaited && !attendance.yielded);
  attendance.yielded = yields && !callers_read;
  if (yields) return false;
  reading_ = true;
  ++turns_;
  return true;
}

/// Leaves the socket to the callers: for a while, or for as long as one and the same goes on reading.
void Link::stand_aside(Event& end, Deadline deadline, Attendance& attendance) {
  Deadline until = std::min(deadline, std::chrono::steady_clock::now() + attendance_pause);
  {
    const std::lock_guard lock{mutex_};
    attendant_waits_ = reading_ && turns_ == attendance.turn;
    if (attendant_waits_) until = deadline;
    attendance.turn = turns_;
  }
  end.sleep(parking_, until);
  const std::lock_guard lock{mutex_};
  attendant_waits_ = false;
  end.take(Event::nobody_reads | Event::asleep);
}

}  // namespace redismutex::net
