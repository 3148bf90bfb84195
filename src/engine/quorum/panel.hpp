#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

  /// At least three; an odd number.
  explicit Panel(std::vector<Member> members) : members_{std::move(members)} {}

  std::size_t size() const noexcept { return members_.size(); }
  std::size_t majority() const noexcept { return protocol::majority_of(size()); }
  Session& session(std::size_t server) const noexcept { return *members_[server].session; }
  const std::string& name(std::size_t server) const noexcept { return members_[server].name; }

  /// For what concerns no server, such as the time, and for telling users.
  Session& first() const noexcept { return session(0); }

 private:
  const std::vector<Member> members_;
};

}  // namespace redismutex::engine
