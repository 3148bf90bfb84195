#include "engine/push_listener.hpp"

#include <sys/epoll.h>

#include <exception>
#include <utility>

namespace redismutex::engine {

PushListener::PushListener(net::Reactor& reactor, std::shared_ptr<net::Link> link, std::function<void()> broken)
    : Source{reactor}, link_{std::move(link)}, broken_{std::move(broken)}, look_{reactor, [this] { listen(); }} {
  look_.set(net::boot_now());
}

PushListener::~PushListener() {
  {
    const std::lock_guard lock{mutex_};
    ended_ = true;
  }
  leave();
}

void PushListener::listen() noexcept {
  const std::lock_guard lock{mutex_};
  if (!ended_ && !arm(link_->fd(), EPOLLIN)) look_.set(net::boot_now() + pause);
}

void PushListener::ready(std::uint32_t) noexcept {
  try {
    link_->take_in_arrived();
  } catch (const std::exception& error) {
    link_->fail({net::Failure::Kind::unreachable, error.what()});
  }
  if (link_->broken()) return broken_();
  look_.set(net::boot_now() + pause);
}

}  // namespace redismutex::engine
