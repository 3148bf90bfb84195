#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/quorum/roll.hpp"
#include "engine/session.hpp"
#include "protocol/council.hpp"

namespace redismutex::engine {

/// The independent servers of a quorum, each with a Session of its own. A lock is held by whoever has it at a majority of them.
class Panel {
 public:
  struct Member {
    std::shared_ptr<Session> session;
    std::string name;  ///< of the server, for people
  };

  /// At least three; an odd number. `grace`: see Roll.
  explicit Panel(std::vector<Member> members, std::chrono::milliseconds grace = {})
      : members_{std::move(members)}, roll_{std::make_shared<Roll>(members_.size(), grace)} {}

  std::size_t size() const noexcept { return members_.size(); }
  std::size_t majority() const noexcept { return protocol::majority_of(size()); }
  Session& session(std::size_t server) const noexcept { return *members_[server].session; }
  const std::string& name(std::size_t server) const noexcept { return members_[server].name; }
  const std::shared_ptr<Roll>& roll() const noexcept { return roll_; }

  /// For what concerns no server, such as the time, and for telling users.
  Session& first() const noexcept { return session(0); }

 private:
  const std::vector<Member> members_;
  const std::shared_ptr<Roll> roll_;
};

}  // namespace redismutex::engine
