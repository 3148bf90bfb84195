#pragma once

#include <map>
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
    std::size_t waiters = 10;  ///< of how many to tell, so that all fits a small terminal; all_waiters for all
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

  /// `info`: what INFO tells; nothing: it is not known.
  void set_role(std::map<std::string, std::string> info);

 private:
  ConnectionOptions options_;
  Connection connection_;
  NamedServer server_;
};

/// Throws ServerError for a replica, where locks can neither be taken nor broken.
void refuse_replica(const NamedServer& server);

}  // namespace redismutex::cli
