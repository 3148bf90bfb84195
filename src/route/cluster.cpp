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

/// With the lock held. Each of those that have slots was asked in vain: the others may know what has become of them.
bool Cluster::all_have_turn() const {
  return std::all_of(servers_.begin(), servers_.end(), [this](const Known& known) {
    return known.server->is_retired() || known.server == doubtful_ || known.asked > answered_;
  });
}

/// With the lock held. A connection is no reason to ask one sooner again than another: a server that is cut off from the others goes on
/// telling what was, and all to which there are connections may be cut off together.
Cluster::Merit Cluster::merit_of(const Known& known, Rank without_slots) const {
  Merit merit{.rank = Rank::has_turn, .unasked = -known.asked, .is_linked = known.server->live_link() != 0};
  if (known.server->is_retired()) merit.rank = without_slots;
  if (known.server == doubtful_) merit.rank = Rank::doubtful;
  return merit;
}

/// With the lock held. Whether it was not known before. It has no slots as far as is known.
bool Cluster::add_informant(const ServerAddress& address) {
  const auto is_this = [&address](const Known& known) { return known.address == address; };
  if (std::any_of(servers_.begin(), servers_.end(), is_this)) return false;
  Server* const server = server_at(address);
  if (server != nullptr) server->note_retired(read_);
  return server != nullptr;
}

/// With the lock held. A replica that the map named has its turn every other time: it may be gone, as those may that are known from earlier.
void Cluster::add_replica() {
  takes_replica_ = !takes_replica_;
  bool is_added = !takes_replica_;
  for (; !is_added && !replicas_.empty(); replicas_.pop_back()) is_added = add_informant(replicas_.back());
}

Cluster::Informant Cluster::next_informant() {
  const std::lock_guard lock{mutex_};
  for (const ServerAddress& seed : seeds_) add_informant(seed);
  const bool all = all_have_turn();
  if (all) add_replica();
  const Rank without_slots = all ? Rank::has_turn : Rank::without_slots;
  const auto next = std::max_element(servers_.begin(), servers_.end(), [&](const Known& one, const Known& other) {
    return merit_of(one, without_slots) < merit_of(other, without_slots);
  });
  next->asked = ++questions_;
  doubtful_ = nullptr;  // the next time it may be asked, too
  return {next->server, next->address};
}

Cluster::Informant Cluster::present() const {
  const std::lock_guard lock{mutex_};
  Server& server = any();
  return {&server, address_of(server)};
}

void Cluster::take_in(const protocol::SlotMap& map) {
  learn(map);
  tell_moved();
}

void Cluster::learn(const protocol::SlotMap& map) {
  const std::lock_guard lock{mutex_};
  const std::vector<protocol::SlotRange>& ranges = map.ranges;
  std::vector<Server*> masters;
  masters.reserve(ranges.size());
  for (const protocol::SlotRange& range : ranges) masters.push_back(server_at(range.master));
  const auto first =
      std::find_if(masters.begin(), masters.end(), [](const Server* server) { return server != nullptr; });
  if (first == masters.end()) return;  // it knows nothing either
  replicas_ = map.replicas;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (masters[i] == nullptr) continue;
    for (std::size_t slot = ranges[i].first; slot <= ranges[i].last; ++slot) learn(slot, *masters[i]);
  }
  for (const Known& known : servers_) {
    known.server->note_retired(std::find(masters.begin(), masters.end(), known.server) == masters.end());
  }
  answered_ = questions_;
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

std::vector<Server*> Cluster::masters_and_seeds() {
  std::vector<Server*> found = masters();
  const std::lock_guard lock{mutex_};
  for (const ServerAddress& seed : seeds_) {
    Server* const server = server_at(seed);
    if (server != nullptr && std::find(found.begin(), found.end(), server) == found.end()) found.push_back(server);
  }
  return found;
}

}  // namespace redismutex::route
