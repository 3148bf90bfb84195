#include "route/server.hpp"

#include <chrono>
#include <new>
#include <utility>

namespace redismutex::route {
namespace {

using Deletion = protocol::Release::Deletion;

// The log is not told again of servers that are left one after the other, or of one that is found again and again.
constexpr std::chrono::minutes between_notes_of_leaving{1};

Deletion deletion_of(const net::Greeting& greeting) {
  using Version = net::Greeting::Version;
  if (greeting.server == "valkey" && greeting.version >= Version{9, 0, 0}) return Deletion::by_delifeq;
  if (greeting.server == "redis" && greeting.version >= Version{8, 4, 0}) return Deletion::by_delex;
  return Deletion::by_script;
}

}  // namespace

Server::Server(Environment& environment, std::string name, Log log, bool may_be_replaced)
    : name_{std::move(name)}, log_{std::move(log)}, pushes_{environment}, may_be_replaced_{may_be_replaced} {}

void Server::begin(std::uint64_t link, const net::Greeting& greeting, std::string_view peer,
                   const ServerAddress& named) {
  {
    const std::lock_guard lock{peer_mutex_};
    last_link_ = link;
    named_ = named;
    if (peer != peer_) {
      peer_ = peer;
      first_link_ = link;
    }
  }
  seems_away_ = false;
  pushes_.begin(link, greeting);
  deletion_ = deletion_of(greeting);
  client_id_ = greeting.client_id;
  live_link_ = link;
}

void Server::note_replaced(std::uint64_t link) noexcept {
  first_link_ = link + 1;
  const std::lock_guard lock{peer_mutex_};
  if (last_link_ != link) return;
  peer_.clear();
  named_ = {};
}

bool Server::has_parted_from(const Server& lane) const {
  if (!may_be_replaced_ || &lane == this) return false;
  const std::scoped_lock lock{peer_mutex_, lane.peer_mutex_};
  const bool is_replaced = peer_.empty();
  const bool is_same_name = !named_.host.empty() && named_ == lane.named_;
  return (is_replaced || live_link_ != 0) && peer_ != lane.peer_ && !is_same_name;
}

bool Server::is_replaced() const {
  const std::lock_guard lock{peer_mutex_};
  return may_be_replaced_ && last_link_ != 0 && peer_.empty();
}

/// The next one may be there already.
void Server::note_broken(std::uint64_t link) noexcept { live_link_.compare_exchange_strong(link, 0); }

/// Without what is refused the timers remain.
void Server::note_means(Pushes::Next next, Means means, std::string_view error) {
  static constexpr std::array<std::string_view, 2> consequences{
      "cannot be woken, so a wait for a lock looks at the server every Options::delay instead; let this user have the "
      "channels redismutex:* (ACL &redismutex:* +ssubscribe +spublish, before Redis 7.0 +subscribe +publish)",
      "cannot be told of changes to a key, so locks that others delete are noticed late; let this user have the "
      "commands (ACL +client|tracking +client|caching)"};
  if (next != Pushes::Next::do_without || refusals_told_.at(means).exchange(true)) return;
  log(std::string{consequences.at(means)} + "; the server said: " + std::string{error});
}

void Server::note_absence(const net::Failure& reason) {
  if (absence_told_.exchange(true)) return;
  log("this server is away, and is waited for by those who may wait for locks; the reason: " + reason.text);
}

void Server::note_presence() noexcept {
  if (absence_told_.load(std::memory_order_relaxed) && absence_told_.exchange(false)) log("this server is there again");
}

void Server::note_left(std::string_view refusal, protocol::Instant now) {
  if (left_at_.exchange(now) + between_notes_of_leaving > now) return;
  log("this server takes no locks and was left, to look up anew where its name leads; it said: " +
      std::string{refusal});
}

Server& Server::lane() {
  if (!make_lane_) return *this;
  std::call_once(lane_made_, [this] { lane_ = &make_lane_(); });
  return *lane_;
}

void Server::log(std::string_view message) const noexcept try {
  log_(std::string{name_}.append(": ").append(message));
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
}

}  // namespace redismutex::route
