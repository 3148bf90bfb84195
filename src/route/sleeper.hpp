#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <stop_token>

#include "net/link.hpp"
#include "net/poll.hpp"
#include "route/waker.hpp"

namespace redismutex::route {

/// A thread that sleeps until there is news: at a link, whose socket it reads meanwhile, or on a word of memory. Belongs to its
/// thread; wake() is for others.
class Sleeper final : public Waker {
 public:
  Sleeper() = default;
  ~Sleeper() = default;
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  void wake() noexcept override { begin_wake().finish(); }
  Rest begin_wake() noexcept override;

  /// Each ends at the deadline, at once if there was news since the last one ended, or when it is stopped. The second one also when
  /// the link breaks: then it is false.
  void sleep(net::Deadline deadline, const std::stop_token& stop);
  bool sleep_at(net::Link& link, net::Deadline deadline, const std::stop_token& stop);

 private:
  enum State : std::uint32_t { quiet, news, asleep, at_link };

  std::atomic<std::uint32_t> state_{quiet};

  // While it sleeps at a link. The mutex keeps both where they are meanwhile.
  std::mutex mutex_;
  net::Link* link_ = nullptr;
  net::Caller* caller_ = nullptr;
};

}  // namespace redismutex::route
