#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/server.hpp"

namespace redismutex::testing {

/// Six real servers in one cluster: three masters with a third of the slots each, and a replica of each. It takes some three seconds to
/// start; what one test leaves the next one has, so each that hurts it waits until it is well again.
class Cluster {
 public:
  /// Throws std::runtime_error if it does not get well.
  Cluster();

  /// One for all tests of the process.
  static Cluster& shared();

  static constexpr std::size_t size = 6;
  Server& node(std::size_t index) { return *nodes_.at(index); }

  /// "redis+cluster://127.0.0.1:port,...": of all of them.
  std::string url() const;

  /// Of the slot.
  Server& master_of(std::uint16_t slot);
  Server& master_of_key(std::string_view key);

  /// One of a master's replicas.
  Server& replica_of(Server& master);

  std::vector<Server*> masters();

  /// Its own id in the cluster.
  std::string id_of(Server& node);

  /// All slots are served, each master has a replica that is up to date, and all agree on that. Throws std::runtime_error if that takes
  /// too long.
  void wait_until_well();

  /// Until a server other than this one has the slot.
  bool wait_until_left(std::uint16_t slot, Server& node);

  /// A planned failover: the master's replica takes over, when both are in accord.
  void fail_over(Server& master);

  /// Moves a slot the old way, key by key. `halfway` is called when all is under way and no key has moved.
  void move_slot(std::uint16_t slot, Server& to, const std::function<void()>& halfway = {});

  /// Whether its servers can move a slot with all its keys at once, as Valkey from 9.0 on; then that does it.
  bool moves_at_once();
  void move_slot_at_once(std::uint16_t slot, Server& to);

 private:
  void form();
  bool is_well();
  bool agree();
  Server& node_at(std::uint16_t port);

  std::array<std::unique_ptr<Server>, size> nodes_;
};

/// Keys of so many slots, in which all thirds of them have a share; `prefix` stands in front.
std::vector<std::string> keys_of_many_slots(std::size_t count, const std::string& prefix);

}  // namespace redismutex::testing
