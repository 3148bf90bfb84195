#pragma once

#include <cstdint>

#include "protocol/key.hpp"
#include "protocol/machine.hpp"
#include "protocol/slot.hpp"
#include "route/cluster.hpp"
#include "route/server.hpp"

namespace redismutex::route {

/// Says at which server a key lives. A copy is as good. Thread-safe.
class Router {
 public:
  /// All of them at this one, or each at the one that has its slot. It must outlive the Router.
  Router(Server& only) noexcept : only_{&only} {}  // NOLINT(google-explicit-constructor): one server is a router, too
  Router(Cluster& cluster) noexcept : cluster_{&cluster} {}  // NOLINT(google-explicit-constructor): the same

  /// None: there is one server.
  Cluster* cluster() const noexcept { return cluster_; }

  /// Whether another server may take the place of the one that has a key, and nobody says a word.
  bool may_move() const noexcept { return only_ == nullptr || only_->may_be_replaced(); }

  Server& server_of(const protocol::Key& key) const noexcept {
    return only_ != nullptr ? *only_ : cluster_->server_of(slot_of(key));
  }
  std::uint16_t slot_of(const protocol::Key& key) const noexcept {
    return only_ != nullptr ? protocol::no_slot : protocol::slot_of(key.text());
  }

  /// Where its requests go.
  std::uint16_t slot_for(const protocol::Machine& machine) const noexcept {
    if (only_ != nullptr) return protocol::no_slot;
    const protocol::Key* const key = machine.key();
    return key != nullptr ? slot_of(*key) : protocol::no_slot;
  }
  Server& server_for(std::uint16_t slot) const noexcept {
    if (only_ != nullptr) return *only_;
    return slot != protocol::no_slot ? cluster_->server_of(slot) : cluster_->any();  // NOLINT: one of them is there
  }

  /// For what concerns none of the keys.
  Server& any() const noexcept { return only_ != nullptr ? *only_ : cluster_->any(); }  // NOLINT: one of them is there

 private:
  Server* only_ = nullptr;
  Cluster* cluster_ = nullptr;
};

}  // namespace redismutex::route
