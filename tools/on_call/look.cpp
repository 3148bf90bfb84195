#include "look.hpp"

#include <algorithm>
#include <iterator>

namespace redismutex::cli {
namespace {

constexpr std::size_t page = 100;

}  // namespace

Lookout::Lookout(const ConnectionOptions& server) : connection_{server}, server_{display_name(server), {}} {}

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
    set_role(server_info(connection_, "replication")["role"]);
  } catch (const ServerError&) {  // the right is missing
    set_role({});
  }
}

}  // namespace redismutex::cli
