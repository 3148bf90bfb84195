#include "api/looking.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <redismutex/errors.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include "api/request.hpp"
#include "protocol/clients.hpp"
#include "protocol/ping.hpp"
#include "route/server.hpp"

namespace redismutex::api {
namespace {

using protocol::Key;
using protocol::Refusal;
using report::Action;

bool is_missing_right(const Refusal& refusal) { return refusal.code == "NOPERM"; }

void note_missing(std::span<Inspection> all, std::string_view right) {
  for (Inspection& each : all) each.missing_rights.emplace_back(right);
}

/// Of those who hold, and those who wait.
std::vector<std::string_view> tags_of(std::span<const Inspection> all) {
  std::vector<std::string_view> tags;
  for (const Inspection& each : all) {
    if (!each.tag.empty()) tags.push_back(each.tag);
    for (const Waiter& waiter : each.waiters) {
      if (!waiter.tag.empty()) tags.push_back(waiter.tag);
    }
  }
  std::sort(tags.begin(), tags.end());
  tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
  return tags;
}

/// The server's connections, as far as it tells of them.
struct Found {
  std::vector<protocol::Connected> connected;
  bool all = false;
};

/// The numbers that the first connections with these tags have, if they lead to this server.
std::vector<std::int64_t> ids_of(std::span<const std::string_view> tags, const route::Server& server) {
  std::vector<std::int64_t> ids;
  for (const std::string_view tag : tags) {
    const auto of_tag = protocol::client_ids_of(tag, server.client_id());
    ids.insert(ids.end(), of_tag.begin(), of_tag.end());
  }
  return ids;
}

/// In a cluster a process may have been connected to another server first than to the one that has the key.
void look_elsewhere(Runtime& runtime, const route::Server& server, std::span<const std::string_view> tags,
                    const Action& action, std::vector<protocol::Connected>& connected) {
  if (runtime.session().router().cluster() == nullptr) return;
  std::vector<std::string_view> missing{tags.begin(), tags.end()};
  const auto all_found = [&] {
    std::erase_if(missing, [&](std::string_view tag) { return protocol::client_with_tag(connected, tag).has_value(); });
    return missing.empty();
  };
  if (all_found()) return;
  for (route::Server* other : runtime.reach_all()) {
    if (all_found()) return;
    if (other == &server) continue;
    try {
      if (other->client_id() == 0) {
        protocol::Ping ping;
        drive(runtime, ping, action, other);
      }
      protocol::Clients by_id{ids_of(missing, *other)};
      drive(runtime, by_id, action, other);
      if (const auto* some = std::get_if<std::vector<protocol::Connected>>(&by_id.outcome())) {
        connected.insert(connected.end(), some->begin(), some->end());
      }
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): what stands at the keys is known all the same
    }
  }
}

Found look_for(Runtime& runtime, route::Server& server, std::span<Inspection> seen, bool deep, const Action& action) {
  const std::vector<std::string_view> tags = tags_of(seen);
  if (tags.empty()) return {};
  Found found;
  protocol::Clients by_id{ids_of(tags, server)};
  drive(runtime, by_id, action, &server);
  if (const auto* refused = std::get_if<Refusal>(&by_id.outcome()); refused != nullptr && is_missing_right(*refused)) {
    note_missing(seen, by_id.right());
    return {};
  }
  // Redis 6.0 can not be asked for some.
  if (const auto* some = std::get_if<std::vector<protocol::Connected>>(&by_id.outcome())) found.connected = *some;
  look_elsewhere(runtime, server, tags, action, found.connected);
  const auto is_found = [&](std::string_view tag) {
    return protocol::client_with_tag(found.connected, tag).has_value();
  };
  if (!deep || std::all_of(tags.begin(), tags.end(), is_found)) return found;
  protocol::Clients every{protocol::Clients::All{}};
  drive(runtime, every, action, &server);
  if (const auto* refused = std::get_if<Refusal>(&every.outcome()); refused != nullptr && is_missing_right(*refused)) {
    note_missing(seen, every.right());
  }
  if (const auto* all = std::get_if<std::vector<protocol::Connected>>(&every.outcome())) {
    found = {.connected = *all, .all = true};
  }
  return found;
}

/// Who they are that hold and wait.
void find_clients(Runtime& runtime, route::Server& server, std::span<Inspection> seen, const InspectOptions& options,
                  const Action& action) {
  if (!options.clients) return;
  const Found found = look_for(runtime, server, seen, options.deep, action);
  for (Inspection& each : seen) {
    each.client = protocol::client_with_tag(found.connected, each.tag);
    if (each.client || (found.all && !each.tag.empty())) each.connected = each.client.has_value();
    for (Waiter& waiter : each.waiters) waiter.client = protocol::client_with_tag(found.connected, waiter.tag);
  }
}

/// What is looked at in one go: in a cluster the keys of one slot.
struct Group {
  std::vector<Key> keys;
  std::vector<std::size_t> places;  // of each, among all
};

struct Seen {
  std::size_t place;
  Inspection inspection;
};

/// Adds what is seen of one group. Some keys may be left out.
void look_at(Runtime& runtime, const Group& group, const InspectOptions& options, protocol::Inspect::Which which,
             const Action& action, std::vector<Seen>& all) {
  protocol::Inspect machine{group.keys, {.waiters = options.waiters, .offset = options.offset, .which = which}};
  request(runtime, machine, action);
  auto& seen = std::get<std::vector<Inspection>>(machine.outcome());
  find_clients(runtime, runtime.session().router().server_of(group.keys.front()), seen, options, action);
  std::size_t at = 0;
  for (Inspection& each : seen) {
    while (group.keys[at].text() != each.key) ++at;
    all.push_back({.place = group.places[at++], .inspection = std::move(each)});
  }
}

}  // namespace

std::vector<Inspection> look(Runtime& runtime, const std::vector<Key>& keys, const InspectOptions& options,
                             protocol::Inspect::Which which, const Action& action) {
  std::map<std::uint16_t, Group> groups;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Group& group = groups[runtime.session().router().slot_of(keys[i])];
    group.keys.push_back(keys[i]);
    group.places.push_back(i);
  }
  std::vector<Seen> all;
  for (const auto& [slot, group] : groups) look_at(runtime, group, options, which, action, all);
  std::sort(all.begin(), all.end(), [](const Seen& one, const Seen& other) { return one.place < other.place; });
  std::vector<Inspection> found;
  found.reserve(all.size());
  for (Seen& seen : all) found.push_back(std::move(seen.inspection));
  return found;
}

}  // namespace redismutex::api
