#include "net/poll.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace redismutex::net {

Kick::Kick() : event_{Socket::opened_by([] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); })} {
  if (!event_.valid()) throw std::system_error{errno, std::generic_category(), "eventfd"};
}

void Kick::kick() const noexcept { ::eventfd_write(event_.get(), 1); }

void Kick::clear() const noexcept {
  eventfd_t ignored;
  ::eventfd_read(event_.get(), &ignored);
}

Awaited AnyOf::await(std::span<const Awaited> all) {
  if (all.size() == 1) return all.front();
  together_ = Socket::opened_by([] { return ::epoll_create1(EPOLL_CLOEXEC); });
  if (!together_.valid()) throw std::system_error{errno, std::generic_category(), "epoll_create1"};
  Awaited any{.fd = together_.get(), .events = POLLIN};
  for (const Awaited& one : all) {
    epoll_event event{};
    event.events = ((one.events & POLLIN) != 0 ? EPOLLIN : 0U) | ((one.events & POLLOUT) != 0 ? EPOLLOUT : 0U);
    if (::epoll_ctl(together_.get(), EPOLL_CTL_ADD, one.fd, &event) != 0) {
      throw std::system_error{errno, std::generic_category(), "epoll_ctl"};
    }
    any.until = std::min(any.until, one.until);
  }
  return any;
}

Polled poll_until(const Awaited& awaited, const Kick* kick) {
  const int kick_fd = kick != nullptr ? kick->fd() : -1;  // -1 is never ready
  for (;;) {
    const auto left = std::chrono::nanoseconds{awaited.until - std::chrono::steady_clock::now()};
    if (left.count() <= 0) return Polled::timed_out;
    // Waits of days are cut into pieces, so that no conversion overflows.
    const auto slice = std::min<std::chrono::nanoseconds>(left, std::chrono::hours{1});
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(slice);
    const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (slice - seconds).count()};
    std::array<pollfd, 2> polled{{{awaited.fd, awaited.events, 0}, {kick_fd, POLLIN, 0}}};
    const int ready = ::ppoll(polled.data(), polled.size(), &timeout, nullptr);
    if (ready < 0 && errno != EINTR) throw std::system_error{errno, std::generic_category(), "ppoll"};
    if (ready <= 0) continue;
    if (polled[1].revents != 0) return Polled::kicked;
    return Polled::ready;
  }
}

}  // namespace redismutex::net
