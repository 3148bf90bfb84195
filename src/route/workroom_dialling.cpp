// The connections of a Workroom: how they are dialled, listened to, and verified.

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <utility>

#include "route/environment.hpp"
#include "route/workroom.hpp"
#include "route/workroom_running.hpp"

namespace redismutex::route {
namespace {

using net::Link;
using protocol::Instant;

// Between attempts to reach a server that is to be listened to.
constexpr std::chrono::milliseconds between_dials{500};

}  // namespace

bool Workroom::Way::is_missed() const noexcept {
  return in_use && listened_to.expired() && !peer.server().is_retired();
}

void Workroom::add(Peer& peer) {
  const std::lock_guard lock{mutex_};
  ways_.emplace_back(*this, peer);
}

Workroom::Way& Workroom::way_to(Server* server) {
  const std::lock_guard lock{mutex_};
  const auto leads_there = [server](const Way& way) { return &way.peer == server->way(); };
  return server == nullptr ? ways_.front() : *std::find_if(ways_.begin(), ways_.end(), leads_there);
}

/// With the lock held.
void Workroom::get_ready_to_dial(Way& way) {
  if (finished_ || way.dialling) return;
  net::Workers& workers = reactor_.get().workers();
  workers.get_ready();
  way.dialling.emplace(workers, [&way] { way.room.dial(way); });
}

void Workroom::request_dial(Way& way) noexcept {
  std::optional<Dialled> failed;  // and then what it takes the place of, which goes without the lock
  const std::lock_guard lock{mutex_};
  if (finished_ || way.dials) return;
  try {
    get_ready_to_dial(way);
    way.dials = true;
    way.dialling->post();
  } catch (const std::exception& error) {
    failed = net::failure_of(Failure::Kind::exhausted, [&] { return std::string{error.what()}; });
    way.dialled.swap(failed);
    has_dialled_ = true;
    request_round(Instant{});
  }
}

/// In a worker of its own, because it blocks.
void Workroom::dial(Way& way) noexcept {
  std::optional<Dialled>
      reached;  // and then what it takes the place of: a link that goes waits for its handlers, and those take the lock
  try {
    reached = way.peer.link(now() + way.peer.options().connect_timeout, stopping_.get_token());
  } catch (const std::exception& error) {
    reached = net::failure_of(Failure::Kind::exhausted, [&] { return std::string{error.what()}; });
  }
  const std::lock_guard lock{mutex_};
  way.dials = false;
  way.dialled.swap(reached);
  has_dialled_ = true;
  request_round(Instant{});
}

void Workroom::take_dialled() noexcept {
  for (std::size_t i = 0;; ++i) {
    Way* way = nullptr;
    std::optional<Dialled> dialled;
    {
      const std::lock_guard lock{mutex_};
      if (i == ways_.size()) return;
      way = &ways_[i];
      dialled = std::exchange(way->dialled, std::nullopt);
    }
    if (dialled) note_dialled(*way, *dialled);
  }
}

void Workroom::note_dialled(const Way& way, const Dialled& dialled) noexcept {
  for (auto each = running_.begin(); each != running_.end();) {
    Running& running = *each++;
    if (running.state != State::reaching || running.way != &way) continue;
    tell(running, [&]() -> Procedure::Event {
      if (const auto* failure = std::get_if<Failure>(&dialled)) return Procedure::Unreached{*failure};
      running.link = std::get<std::shared_ptr<Link>>(dialled);
      return Procedure::Reached{running.link->id()};
    });
  }
}

void Workroom::listen(bool wanted) noexcept { listens_ = wanted; }

void Workroom::listen_at_present_links(Instant here) {
  listeners_changed_ = false;
  bool one_broke = false;  // one that breaks later has requested the next round
  for (std::size_t i = 0;; ++i) {
    Way* way = nullptr;
    {
      const std::lock_guard lock{mutex_};
      if (i == 0) one_broke = std::exchange(one_broke_, false);
      if (i == ways_.size()) return;
      way = &ways_[i];
    }
    listen(*way, one_broke, here);
  }
}

void Workroom::listen(Way& way, bool one_broke, Instant here) {
  const std::shared_ptr<Link> before = way.listened_to.lock();
  const bool is_wanted = listens_ || way.listeners > 0;
  const std::shared_ptr<Link> link = is_wanted ? way.peer.present_link() : nullptr;
  if (before != link) {
    if (before) before->want_pushes(false);
    if (link) link->want_pushes(true);
    way.listened_to = link;
  }
  // It may be one that another took the place of, while some listened there still.
  if (way.listeners > 0 && (before != link || one_broke)) tell_listeners(way);
  if (link) way.in_use = true;
  if (!listens_ || link || !way.is_missed() || here < way.next_dial) return;
  way.next_dial = here + between_dials;
  request_dial(way);
}

/// Those whose link has broken.
void Workroom::tell_listeners(const Way& way) noexcept {
  for (auto each = running_.begin(); each != running_.end();) {
    Running& running = *each++;
    if (running.way != &way || !running.listens || !running.link->broken()) continue;
    tell(running, [] { return Procedure::Woken{.link_broke = true}; });
  }
}

// ---- whether it is the right server -----------------------------------------------------------------------------------

/// By a worker, because it waits for answers. Without one, the next time.
void Workroom::verify_server() noexcept try {
  const std::lock_guard lock{mutex_};
  if (finished_) return;
  if (!verifying_) {
    net::Workers& workers = reactor_.get().workers();
    workers.get_ready();
    verifying_.emplace(workers, [this] { verify(); });
  }
  verifying_->post();
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see above
}

void Workroom::verify() noexcept try {
  for (std::size_t i = 0;; ++i) {
    Peer* peer = nullptr;
    {
      const std::lock_guard lock{mutex_};
      if (i == ways_.size()) return;
      peer = &ways_[i].peer;
    }
    peer->verify(stopping_.get_token());
  }
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no descriptor, no memory: the same
}

}  // namespace redismutex::route
