#pragma once

#include <redismutex/operate.hpp>
#include <string>
#include <vector>

#include "describe.hpp"
#include "server_option.hpp"

namespace redismutex::cli {

/// Looks at keys of one server, again and again.
class Lookout {
 public:
  struct Options {
    std::size_t waiters = 20;  ///< of how many to tell; all_waiters for all
    bool deep = false;
  };
  static constexpr std::size_t all_waiters = static_cast<std::size_t>(-1);

  explicit Lookout(const ServerOption& server) : Lookout{server.options()} {}
  explicit Lookout(const ConnectionOptions& server);

  const Connection& connection() const noexcept { return connection_; }

  /// Throws what inspect() throws. More waiters than the library tells of at once are asked for in pages, each of another moment.
  std::vector<Inspection> look(const std::vector<std::string>& keys, const Options& options);

  /// The server, and its role when that was last asked for: by look() and by ask_for_role().
  const NamedServer& server() const noexcept { return server_; }

  void ask_for_role();

  /// `role`: as INFO has it; empty: unknown.
  void set_role(const std::string& role) { server_.role = role_text(role); }

 private:
  Connection connection_;
  NamedServer server_;
};

}  // namespace redismutex::cli
