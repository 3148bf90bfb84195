#include "api/loop_driver.hpp"

#include <algorithm>
#include <exception>

#include "route/helps.hpp"

namespace redismutex::api {

/// How the loop watches one link.
class LoopDriver::Watch final : public net::LoopWatch {
 public:
  Watch(const LoopDriver& driver, std::unique_ptr<detail::Watch> watch) noexcept
      : driver_{driver}, watch_{std::move(watch)} {}

  bool arm(std::uint64_t number) noexcept override { return driver_.operations_ > 0 && watch_->arm(number); }
  void disarm() noexcept override { watch_->disarm(); }

 private:
  const LoopDriver& driver_;
  const std::unique_ptr<detail::Watch> watch_;
};

/// What a turn of the loop begins with.
class LoopDriver::Reading final : public detail::Completion {
 public:
  Reading(route::Background& background, net::Link& link, std::uint64_t number) noexcept
      : background_{background}, link_{link}, number_{number} {}

  void run() noexcept override {
    const route::Helps helps{background_};
    link_.read_in_loop(number_);
  }
  void abandon() noexcept override {}

 private:
  route::Background& background_;
  net::Link& link_;
  const std::uint64_t number_;
};

LoopDriver::Use LoopDriver::use(const std::shared_ptr<detail::Poster>& poster, const std::shared_ptr<void>& owner) {
  if (!poster || !poster->can_watch()) return {};
  const std::lock_guard lock{mutex_};
  if (poster_.lock() != poster) {
    if (operations_ > 0) return {};
    appoint(poster, owner);
  }
  ++operations_;
  return Use{this};
}

void LoopDriver::end_use() noexcept {
  if (generation_ != net::fork_generation()) return;
  const std::lock_guard lock{mutex_};
  if (--operations_ > 0) return;
  for (const auto& each : links_) {
    if (const auto link = each.lock()) link->call_off_loop();
  }
}

/// With the lock held.
void LoopDriver::appoint(const std::shared_ptr<detail::Poster>& poster, const std::shared_ptr<void>& owner) {
  poster_.reset();
  owner_ = owner;
  for (const auto& each : links_) {
    if (const auto link = each.lock()) link->set_loop(watch(link, poster));
  }
  poster_ = poster;
}

void LoopDriver::add(const std::shared_ptr<net::Link>& link) {
  const std::lock_guard lock{mutex_};
  std::erase_if(links_, [](const auto& each) { return each.expired(); });
  links_.push_back(link);
  if (const auto poster = poster_.lock()) link->set_loop(watch(link, poster));
}

/// With the lock held. Null: the loop has ended, or can not.
std::unique_ptr<net::LoopWatch> LoopDriver::watch(const std::shared_ptr<net::Link>& link,
                                                  const std::shared_ptr<detail::Poster>& poster) {
  const detail::Watch::Readable readable = [this, generation = generation_, owner = owner_, link = std::weak_ptr{link},
                                            poster = std::weak_ptr{poster}](std::uint64_t number) {
    if (generation != net::fork_generation()) return;
    const auto runtime = owner.lock();
    const auto at = link.lock();
    const auto completions = poster.lock();
    if (!runtime || !at || !completions) return;
    Reading reading{background_, *at, number};
    completions->run_all(reading);
  };
  try {
    auto made = poster->watch(link->fd(), readable);
    return made ? std::make_unique<Watch>(*this, std::move(made)) : nullptr;
  } catch (const std::exception&) {  // Asio lacks a descriptor, for example: our own reactor reads
    return nullptr;
  }
}

}  // namespace redismutex::api
