#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/acquisition.hpp"
#include "engine/extending.hpp"
#include "engine/giving_back.hpp"
#include "engine/session.hpp"
#include "protocol/slot.hpp"
#include "protocol/slot_map.hpp"
#include "route/cluster.hpp"
#include "route/router.hpp"
#include "unit/engine/fakes.hpp"

/// One process with callers that want locks, in virtual time.
namespace redismutex::engine::testing {

using How = Acquisition::Granted::How;

/// Passes a wake-up on; or keeps it, as a thread does that gets no processor.
struct Relay final : route::Waker {
  void wake() noexcept override {
    if (keeps) {
      kept = true;
    } else if (to != nullptr) {
      to->wake();
    }
  }
  void let_go() {
    keeps = false;
    if (std::exchange(kept, false)) wake();
  }

  route::Waker* to = nullptr;
  bool keeps = false;
  bool kept = false;
};

/// The world's, where pushes may lie unread until somebody reads.
class Reader final : public route::Background {
 public:
  explicit Reader(World& world) : world_{world} {}

  bool is_late = false;
  std::vector<std::function<void()>> unread;

  void arrives(std::function<void()> push) {
    unread.push_back(std::move(push));
    if (!is_late) take_in_pushes(world_.known);
  }

  void get_ready() override { world_.background.get_ready(); }
  void start(std::shared_ptr<Operation> operation) override { world_.background.start(std::move(operation)); }
  void enlist(Duty& duty) override { world_.background.enlist(duty); }
  void call(Duty& duty, Instant at) noexcept override { world_.background.call(duty, at); }
  void withdraw(Duty& duty) noexcept override { world_.background.withdraw(duty); }
  void listen(bool wanted) noexcept override { world_.background.listen(wanted); }
  void verify_server() noexcept override { world_.background.verify_server(); }
  bool take_in_pushes(route::Server& /*server*/) noexcept override {
    for (const auto& push : std::exchange(unread, {})) push();
    return true;
  }

 private:
  World& world_;
};

struct Process {
  /// In a cluster the fake server is all of its servers.
  enum class Kind { single, named_by_sentinels, cluster };

  explicit Process(std::chrono::milliseconds command_timeout = 1s) : Process{Kind::single, command_timeout} {}
  explicit Process(Kind kind) : Process{kind, 1s} {}

  World world;
  Reader reader{world};
  std::optional<route::Cluster> cluster;
  Session session;

  Instant now() const { return world.now(); }
  FakeServer& server() { return world.server; }

  /// Another process stands in line at the server.
  void line_up_other(std::chrono::milliseconds alive_for = 60s) {
    server().lines["redismutex:{key}"].push_back({"other", "0-", now() + alive_for});
  }

 private:
  Process(Kind kind, std::chrono::milliseconds command_timeout)
      : world{nullptr, kind == Kind::named_by_sentinels},
        session{{world.environment, router(kind), reader, *world.callbacks}, {1s, command_timeout}} {
    world.server.on_message = [this](std::string_view text) { session.take_message(text); };
    world.server.on_change = [this](std::string_view key) {
      reader.arrives([this, key = std::string{key}] { session.key_changed(key); });
    };
    world.on_reconnected = [this] { session.all_changed(); };
  }

  route::Router router(Kind kind) {
    if (kind != Kind::cluster) return world.known;
    const ServerAddress address{"fake", 1};
    cluster.emplace(std::vector{address}, [this](const ServerAddress&) -> route::Server& { return world.known; });
    cluster->take_in({.ranges = {{0, protocol::slot_count - 1, address}}, .replicas = {}});
    return *cluster;
  }
};

/// What most want.
inline Wishes wishes(Instant wait_until) { return {.expiry = 7s, .delay = 500ms, .wait_until = wait_until}; }

class Caller {
 public:
  Caller(Process& process, Wishes wishes, const std::string& key = "key")
      : process_{process}, acquisition_{process.session, protocol::Key{key}, std::move(wishes), relay} {
    drive_.emplace(process.world, acquisition_, [] {});
    relay.to = &*drive_;
  }

  /// Lets go of the lock, as a handle does.
  ~Caller() {
    relay.to = nullptr;
    if (has_it() && !release_drive_) give_back(process_.session, granted().lease, granted().turn, granted().ticket);
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  void start() { drive_->start(); }
  void stop() { drive_->stop(); }
  bool is_over() const { return drive_->is_over(); }
  Acquisition& acquisition() { return acquisition_; }

  template <class Kind>
  bool is() {
    take();
    return outcome_ && std::holds_alternative<Kind>(*outcome_);
  }
  bool has_it() { return is<Acquisition::Granted>(); }
  const Acquisition::Granted& granted() {
    take();
    return std::get<Acquisition::Granted>(*outcome_);
  }
  const route::Failure& failure() {
    take();
    return std::get<route::Failure>(*outcome_);
  }
  const protocol::Refusal& refusal() {
    take();
    return std::get<protocol::Refusal>(*outcome_);
  }
  Instant::duration left() { return granted().lease->valid_until(granted().turn) - process_.now(); }

  /// Begins to give it back.
  void release() {
    giving_back_.emplace(process_.session, granted().lease, granted().turn, granted().ticket);
    release_drive_.emplace(process_.world, *giving_back_, [] {});
    release_drive_->start();
  }
  bool released() const { return release_drive_ && release_drive_->is_over(); }
  const GivingBack::Outcome& release_outcome() const { return giving_back_->outcome(); }
  template <class Kind>
  bool ended_by() const {
    return released() && std::holds_alternative<Kind>(release_outcome());
  }

  /// Nobody drives it any more.
  void drop_release() {
    release_drive_.reset();
    giving_back_.reset();
  }

  Relay relay;

 private:
  void take() {
    if (!outcome_ && is_over()) outcome_ = acquisition_.take_outcome();
  }

  Process& process_;
  Acquisition acquisition_;
  std::optional<Drive> drive_;
  std::optional<Acquisition::Outcome> outcome_;
  std::optional<GivingBack> giving_back_;
  std::optional<Drive> release_drive_;
};

}  // namespace redismutex::engine::testing
