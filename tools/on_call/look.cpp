#include "look.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>

namespace redismutex::cli {
namespace {

constexpr std::size_t page = 100;

}  // namespace

Lookout::Lookout(const ConnectionOptions& server)
    : options_{server}, connection_{server}, server_{.name = display_name(server)} {}

std::vector<Inspection> Lookout::look(const std::vector<std::string>& keys, const Options& options) {
  const InspectOptions first{.waiters = std::min(options.waiters, page), .deep = options.deep};
  auto seen = inspect(connection_, keys, first);
  for (Inspection& each : seen) {
    for (std::size_t offset = page; offset < std::min(options.waiters, each.places); offset += page) {
      auto more =
          inspect(connection_, each.key,
                  {.waiters = std::min(options.waiters - offset, page), .offset = offset, .deep = options.deep});
      std::move(more.waiters.begin(), more.waiters.end(), std::back_inserter(each.waiters));
      each.unreadable += more.unreadable;
    }
  }
  ask_for_role();
  return seen;
}

void Lookout::ask_for_role() {
  try {
    set_role(server_info(connection_, "replication"));
  } catch (const ServerError&) {  // the right is missing
    set_role({});
  }
}

void Lookout::set_role(std::map<std::string, std::string> info) {
  server_.role = role_text(info["role"]);
  server_.primary.clear();
  if (info["role"] != "slave") return;
  ConnectionOptions primary = options_;
  primary.kind = ConnectionOptions::Kind::single;
  primary.unix_socket.clear();
  primary.host = info["master_host"];
  primary.port = static_cast<std::uint16_t>(std::atoi(info["master_port"].c_str()));
  server_.primary = display_name(primary);
}

void refuse_replica(const NamedServer& server) {
  if (!server.is_replica()) return;
  throw ServerError{
      "this server is a replica: locks can neither be taken nor broken here; its primary is " + server.primary,
      "READONLY"};
}

}  // namespace redismutex::cli
