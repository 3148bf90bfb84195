#include "route/cluster.hpp"

#include <algorithm>
#include <utility>

namespace redismutex::route {
namespace {

// Each server has a slot at least. So many are remembered, those that are gone among them.
constexpr std::size_t most_servers = protocol::slot_count;

}  // namespace

Cluster::Cluster(std::vector<ServerAddress> seeds, Make make) : seeds_{std::move(seeds)}, make_{std::move(make)} {
  home_.store(server_at(seeds_.front()));
}

/// With the lock held, or before others know of it. Null: it is one too many. The first one never is.
Server* Cluster::server_at(const ServerAddress& address) {
  const auto place = std::find_if(servers_.begin(), servers_.end(),
                                  [&address](const Known& known) { return known.address == address; });
  if (place != servers_.end()) return place->server;
  if (servers_.size() == most_servers) return nullptr;
  servers_.push_back({.address = address, .server = nullptr});
  try {
    servers_.back().server = &make_(address);
  } catch (...) {
    servers_.pop_back();
    throw;
  }
  return servers_.back().server;
}

/// With the lock held.
ServerAddress Cluster::address_of(const Server& server) const {
  const auto place =
      std::find_if(servers_.begin(), servers_.end(), [&server](const Known& known) { return known.server == &server; });
  return place != servers_.end() ? place->address : seeds_.front();
}

// ---- what requests meet ---------------------------------------------------------------------------------------------

Server* Cluster::redirected(const Server& from, std::string_view refusal, bool learns) {
  const std::lock_guard lock{mutex_};
  const auto redirection = protocol::read_redirection(refusal, address_of(from));
  if (!redirection) return nullptr;
  Server* const server = server_at(redirection->to);
  if (server != nullptr && learns) {
    learn(redirection->slot, *server);
    server->note_retired(false);
    known_ = true;
  }
  return server;
}

Server* Cluster::moved(const Server& from, std::string_view refusal) {
  Server* const server = redirected(from, refusal, true);
  if (server != nullptr) doubt(from);  // where one slot has moved, others have
  tell_moved();
  return server;
}

Server* Cluster::asked_elsewhere(const Server& from, std::string_view refusal) {
  return redirected(from, refusal, false);
}

void Cluster::doubt(const Server& server) noexcept {
  doubtful_ = &server;
  doubted_ = true;
  if (note_doubt_) note_doubt_();
}

void Cluster::note_linked() noexcept {
  if (!read_ && note_doubt_) note_doubt_();
}

/// With the lock held.
void Cluster::learn(std::size_t slot, Server& server) noexcept {
  if (map_[slot].exchange(&server) != &server) moved_ = true;
}

/// Without the lock.
void Cluster::tell_moved() noexcept {
  if (moved_.exchange(false) && note_moved_) note_moved_();
}

bool Cluster::try_next_seed(const Server& server) {
  if (known_ || seeds_.size() < 2) return false;
  const std::lock_guard lock{mutex_};
  if (&any() != &server) return true;  // somebody else was faster
  const auto place = std::find(seeds_.begin(), seeds_.end(), address_of(server));
  const bool is_last = place == seeds_.end() || std::next(place) == seeds_.end();
  Server* const next = server_at(is_last ? seeds_.front() : *std::next(place));
  if (next != nullptr) home_ = next;
  return next != nullptr;
}

// ---- the map --------------------------------------------------------------------------------------------------------

/// With the lock held. Those that have slots have their turn first; then all, for the others may know what has become of those. One with a
/// connection is asked before its equals. The same one twice in a row would not do: a server that is cut off from the others goes on
/// telling what was, and it may be the only one with a connection.
Cluster::Merit Cluster::merit_of(std::size_t index) const {
  const Server& server = *servers_[index].server;
  const bool is_linked = server.live_link() != 0;
  if (&server == doubtful_) return {Rank::doubtful, is_linked};
  if (asked_ == index) return {server.is_retired() ? Rank::without_slots : Rank::asked_last, is_linked};
  const bool has_turn = !server.is_retired() || asked_in_vain_ >= in_use_;
  return {has_turn ? Rank::has_turn : Rank::without_slots, is_linked};
}

Cluster::Informant Cluster::next_informant() {
  const std::lock_guard lock{mutex_};
  if (servers_.size() < seeds_.size()) {
    for (const ServerAddress& seed : seeds_) server_at(seed);
  }
  const auto is_in_use = [](const Known& known) { return !known.server->is_retired(); };
  in_use_ = static_cast<std::size_t>(std::count_if(servers_.begin(), servers_.end(), is_in_use));
  const std::size_t count = servers_.size();
  const std::size_t first = asked_ ? *asked_ + 1 : 0;
  std::size_t best = first % count;
  for (std::size_t i = 1; i < count; ++i) {
    const std::size_t index = (first + i) % count;
    if (merit_of(index) > merit_of(best)) best = index;
  }
  if (servers_[best].server->live_link() == 0) ++asked_in_vain_;
  asked_ = best;
  doubtful_ = nullptr;  // the next time it may be asked, too
  return {servers_[best].server, servers_[best].address};
}

Cluster::Informant Cluster::present() const {
  const std::lock_guard lock{mutex_};
  Server& server = any();
  return {&server, address_of(server)};
}

void Cluster::take_in(std::span<const protocol::SlotRange> ranges) {
  learn(ranges);
  tell_moved();
}

void Cluster::learn(std::span<const protocol::SlotRange> ranges) {
  const std::lock_guard lock{mutex_};
  std::vector<Server*> masters;
  masters.reserve(ranges.size());
  for (const protocol::SlotRange& range : ranges) masters.push_back(server_at(range.master));
  const auto first =
      std::find_if(masters.begin(), masters.end(), [](const Server* server) { return server != nullptr; });
  if (first == masters.end()) return;  // it knows nothing either
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (masters[i] == nullptr) continue;
    for (std::size_t slot = ranges[i].first; slot <= ranges[i].last; ++slot) learn(slot, *masters[i]);
  }
  for (const Known& known : servers_) {
    known.server->note_retired(std::find(masters.begin(), masters.end(), known.server) == masters.end());
  }
  asked_in_vain_ = 0;
  home_ = *first;
  known_ = read_ = true;
}

std::vector<Server*> Cluster::masters() const {
  std::vector<Server*> found;
  for (const std::atomic<Server*>& server : map_) {
    Server* const master = server;
    if (master == nullptr || (!found.empty() && found.back() == master)) continue;
    if (std::find(found.begin(), found.end(), master) == found.end()) found.push_back(master);
  }
  if (found.empty()) found.push_back(&any());
  return found;
}

}  // namespace redismutex::route
