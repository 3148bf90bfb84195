#pragma once

#include <cstddef>
#include <memory>
#include <redismutex/connection.hpp>
#include <string>
#include <utility>
#include <vector>

#include "api/runtime.hpp"
#include "engine/quorum/panel.hpp"

namespace redismutex::api {

/// The Connections of a quorum in one process. Of locks the Observer and the log of the first one are told. Thread-safe.
class Quorum {
 public:
  Quorum(std::vector<std::shared_ptr<Runtime>> members, const QuorumOptions& options);

  const std::shared_ptr<const engine::Panel>& panel() const noexcept { return panel_; }
  Runtime& member(std::size_t server) const noexcept { return *members_[server]; }
  Runtime& first() const noexcept { return member(0); }
  const std::shared_ptr<Runtime>& first_owner() const noexcept { return members_.front(); }

  /// All of them, for people.
  const std::string& server_name() const noexcept { return name_; }

  /// See Runtime.
  bool inherited() const noexcept { return first().inherited(); }
  void survey() noexcept;

 private:
  const std::vector<std::shared_ptr<Runtime>> members_;
  const std::shared_ptr<const engine::Panel> panel_;
  const std::string name_;
};

}  // namespace redismutex::api
