#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>

#include "net/link.hpp"
#include "net/reactor.hpp"

namespace redismutex::engine {

/// Has the reactor read what the server sends us unasked, while no caller reads. While callers do, it looks every `pause`, so that
/// it costs them next to nothing.
class PushListener final : private net::Reactor::Source {
 public:
  /// `broken`: is called once, in the reactor's thread, when the link has failed. Throws std::bad_alloc.
  PushListener(net::Reactor& reactor, std::shared_ptr<net::Link> link, std::function<void()> broken);

  /// Not to be called with a lock that `broken` or the handler of pushes takes.
  ~PushListener() override;

  const std::shared_ptr<net::Link>& link() const noexcept { return link_; }

  static constexpr std::chrono::milliseconds pause{10};

 private:
  void ready(std::uint32_t events) noexcept override;
  void listen() noexcept;

  const std::shared_ptr<net::Link> link_;
  const std::function<void()> broken_;
  std::mutex mutex_;  // guards what follows
  bool ended_ = false;
  net::Reactor::Timer look_;
};

}  // namespace redismutex::engine
