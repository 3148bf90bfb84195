#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <redismutex/observer.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/conversation.hpp"
#include "engine/lease.hpp"
#include "engine/session.hpp"
#include "protocol/acquire.hpp"
#include "protocol/lease.hpp"
#include "protocol/slot.hpp"
#include "protocol/slot_map.hpp"
#include "route/cluster.hpp"
#include "route/router.hpp"
#include "unit/engine/fakes.hpp"

namespace redismutex::engine::testing {

/// Writes down what it is told.
class Notes final : public Observer {
 public:
  void lease_renewed(const LeaseRenewed& event) noexcept override { renewals.emplace_back(event.key); }
  void lock_lost(const LockLost& event) noexcept override {
    losses.emplace_back(event.key, event.why);
    if (event.claim) ++claims_lost;
  }
  void renewal_failed(const RenewalFailed& event) noexcept override { failures.emplace_back(event.reason); }

  std::vector<std::string> renewals, failures;
  std::vector<std::pair<std::string, Loss>> losses;
  int claims_lost = 0;
};

/// A session at the fake server, and what its users do with it.
class Engine {
 public:
  explicit Engine(std::shared_ptr<Observer> observer = nullptr, bool may_be_replaced = false)
      : world{std::move(observer), may_be_replaced} {
    begin();
  }

  /// The fake server is all servers of a cluster.
  struct InCluster {};
  explicit Engine(InCluster /*tag*/) {
    const ServerAddress address{"fake", 1};
    cluster.emplace(std::vector{address}, [this](const ServerAddress&) -> route::Server& { return world.known; });
    cluster->take_in({.ranges = {{0, protocol::slot_count - 1, address}}, .replicas = {}});
    begin();
  }

  protocol::OwnerId new_id() { return protocol::OwnerId{{.random = world.environment.random_bits()}}; }

  std::shared_ptr<Lease> make_lease(std::string_view key, Lease::Terms terms) {
    return std::make_shared<Lease>(*session, protocol::Key{key}, new_id(), std::move(terms));
  }

  /// A lock that is granted in this moment.
  std::shared_ptr<Lease> hold(std::string_view key, Lease::Terms terms) {
    const auto expiry = terms.expiry;
    auto lease = make_lease(key, std::move(terms));
    world.server.store(std::string{key}, lease->value(), expiry);
    lease->begin({.valid_until = protocol::valid_until(world.now(), expiry), .since = world.now()}, said(),
                 world.now());
    return lease;
  }

  /// The same, handed over with a short lease.
  std::shared_ptr<Lease> claim(std::string_view key, Lease::Terms terms, std::chrono::milliseconds claimed = 1s) {
    auto lease = make_lease(key, std::move(terms));
    world.server.store(std::string{key}, lease->value(), claimed);
    lease->begin({.valid_until = protocol::valid_until(world.now(), claimed), .claimed = true}, said(), world.now());
    return lease;
  }

  /// By whom it is said here that it was granted.
  Lease::Authority said() noexcept { return {.server = &world.known, .link = 1}; }

  /// How much longer the server keeps it.
  std::chrono::milliseconds left(const Lease& lease) {
    const auto place = world.server.keys.find(lease.key().text());
    if (place == world.server.keys.end() || place->second.value != lease.value()) return {};
    return std::chrono::floor<std::chrono::milliseconds>(place->second.until - world.now());
  }

  /// Drives a machine as a caller does that waits for it.
  std::optional<route::Failure> run(protocol::Machine& machine, Instant::duration limit = 4s) {
    engine::Conversation conversation{
        world.environment, world.known, machine, {.deadline = world.now() + limit, .patience = 2s}};
    bool over = false;
    Drive drive{world, conversation, [&over] { over = true; }};
    drive.start();
    world.run_until_is([&over] { return over; });
    return conversation.failure();
  }

  route::Router router() { return cluster ? route::Router{*cluster} : route::Router{world.known}; }

  World world;
  std::optional<route::Cluster> cluster;
  std::optional<Session> session;

 private:
  void begin() {
    world.on_reconnected = [this] { session->server_changed(); };
    world.server.on_message = [this](std::string_view message) { session->take_message(message); };
    world.server.on_change = [this](std::string_view key) { session->key_changed(key); };
    session.emplace(Session::Outside{world.environment, router(), world.background, *world.callbacks},
                    Session::Limits{.connect_timeout = 2s, .command_timeout = 2s});
  }
};

constexpr Lease::Turn first_turn = 1;

}  // namespace redismutex::engine::testing
