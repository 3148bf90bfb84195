#pragma once

#include <array>
#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <redismutex/connection_options.hpp>
#include <string_view>
#include <vector>

#include "protocol/slot.hpp"
#include "protocol/slot_map.hpp"
#include "route/server.hpp"

namespace redismutex::route {

/// The servers of a cluster, and which of them has which slot, as far as is known. Sends nothing itself: whoever asks a server learns here
/// where it sent them, and a reader of the map brings the whole of it. Thread-safe.
///
/// Its mutex comes before that of whoever makes the servers.
class Cluster {
 public:
  /// Makes what is known of the server at this address, and keeps it for as long as the cluster is there. Called once for each, with
  /// a lock held. May throw std::bad_alloc.
  using Make = std::function<Server&(const ServerAddress&)>;

  /// `seeds`: some of its servers, at least one.
  Cluster(std::vector<ServerAddress> seeds, Make make);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  /// The server that has the slot, so far as is known; else one that knows better.
  Server& server_of(std::uint16_t slot) const noexcept {
    Server* const known = map_[slot].load(std::memory_order_acquire);
    return known != nullptr ? *known : any();
  }
  Server& any() const noexcept { return *home_.load(std::memory_order_acquire); }

  // ---- what requests meet

  /// This server has said, in this refusal, that a slot is elsewhere: for good, which is learnt, or only this once. Returns where; none
  /// if the refusal can not be read. Throws std::bad_alloc.
  Server* moved(const Server& from, std::string_view refusal);
  Server* asked_elsewhere(const Server& from, std::string_view refusal);

  /// This server does not answer, or not as one that has its slots: what is known may be wrong.
  void doubt(const Server& server) noexcept;

  /// There is a server to be asked for the map, if that is not known.
  void note_linked() noexcept;

  /// No server has been reached yet, this one included: another seed is any() from now on. False: what is known leads somewhere, or
  /// there is no other seed.
  bool try_next_seed(const Server& server);
  std::size_t seed_count() const noexcept { return seeds_.size(); }

  /// Whether a part of the map was learnt, or the whole of it read.
  bool is_known() const noexcept { return known_; }
  bool is_read() const noexcept { return read_; }

  /// Called when slots are known to be at other servers than before, by whichever thread has learnt it, with no lock held; must not throw. Set
  /// before the first request.
  void on_moved(std::function<void()> note) { note_moved_ = std::move(note); }

  // ---- for the reader of the map

  /// Called when there is doubt, or a new connection and no map, by whichever thread has it, with no lock held; must not throw. Set before the
  /// first request.
  void on_doubt(std::function<void()> note) { note_doubt_ = std::move(note); }

  /// Whether there was any since the last call.
  bool take_doubt() noexcept { return doubted_.exchange(false); }

  /// A server to ask: the one that was asked longest ago of those that have slots as far as is known, and when each of these was asked in
  /// vain, of all, and of the replicas that the map names. Of those that were never asked one with a connection. The one that gave rise to
  /// the last doubt only if there is no other.
  struct Informant {
    Server* server;
    ServerAddress address;
  };
  Informant next_informant();

  /// any(), and where it is.
  Informant present() const;

  /// What it has said. Throws std::bad_alloc.
  void take_in(const protocol::SlotMap& map);

  /// Those that have slots; one that is reached at first if none is known to.
  std::vector<Server*> masters() const;

  /// These, and then those that the URL names. Throws std::bad_alloc.
  std::vector<Server*> masters_and_seeds();

 private:
  struct Known {
    ServerAddress address;
    Server* server;
    std::int64_t asked = 0;  // the number of the last question to it; 0: there was none
  };

  enum class Rank { doubtful, without_slots, has_turn };
  struct Merit {
    Rank rank;
    std::int64_t unasked;  // the more, the longer ago
    bool is_linked;
    auto operator<=>(const Merit&) const = default;
  };

  void learn(std::size_t slot, Server& server) noexcept;
  void learn(const protocol::SlotMap& map);
  void tell_moved() noexcept;
  bool all_have_turn() const;
  bool add_informant(const ServerAddress& address);
  void add_replica();
  Merit merit_of(const Known& known, Rank without_slots) const;  // the rank of those without slots
  Server* server_at(const ServerAddress& address);
  ServerAddress address_of(const Server& server) const;
  Server* redirected(const Server& from, std::string_view refusal, bool learns);

  const std::vector<ServerAddress> seeds_;
  const Make make_;
  std::function<void()> note_doubt_, note_moved_;
  std::array<std::atomic<Server*>, protocol::slot_count> map_{};
  std::atomic<Server*> home_{nullptr};
  std::atomic<bool> known_{false};
  std::atomic<bool> read_{false};
  std::atomic<bool> doubted_{false};
  std::atomic<bool> moved_{false};                // and nobody was told
  std::atomic<const Server*> doubtful_{nullptr};  // the last one that gave rise to doubt

  mutable std::mutex mutex_;  // guards the rest
  std::vector<Known> servers_;
  std::vector<ServerAddress> replicas_;  // of the last map, without those that are known by now
  bool takes_replica_ = false;
  std::int64_t questions_ = 0;  // for the map; the number of the last one
  std::int64_t answered_ = 0;   // and of the last one before the map was read
};

}  // namespace redismutex::route
