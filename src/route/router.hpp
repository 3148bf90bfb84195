#pragma once

#include "protocol/key.hpp"
#include "protocol/machine.hpp"
#include "route/server.hpp"

namespace redismutex::route {

/// Says at which server a key lives. A copy is as good. Thread-safe.
class Router {
 public:
  /// All of them at this one, which must outlive it.
  Router(Server& only) noexcept : only_{&only} {}  // NOLINT(google-explicit-constructor): one server is a router, too

  Server& server_of(const protocol::Key& /*key*/) const noexcept { return *only_; }

  /// Where its requests go.
  Server& server_for(const protocol::Machine& /*machine*/) const noexcept { return *only_; }

  /// For what concerns none of the keys.
  Server& any() const noexcept { return *only_; }

 private:
  Server* only_;
};

}  // namespace redismutex::route
