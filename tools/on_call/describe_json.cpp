#include <nlohmann/json.hpp>
#include <redismutex/printable.hpp>

#include "describe.hpp"
#include "json.hpp"
#include "moments.hpp"
#include "people.hpp"

namespace redismutex::cli {
namespace {

using Json = nlohmann::ordered_json;

double seconds(std::chrono::microseconds duration) { return std::chrono::duration<double>{duration}.count(); }

Json moment(const std::optional<WallTime>& moment) { return moment ? Json(utc_text(*moment)) : Json(); }

void add_client(Json& json, const std::optional<Client>& client) {
  json["host"] = client ? Json(json_text(client->host)) : Json();
  json["pid"] = client ? Json(client->pid) : Json();
  json["purpose"] = client ? Json(json_text(client->purpose)) : Json();
  json["address"] = client ? Json(json_text(client->address)) : Json();
  json["user"] = client ? Json(json_text(client->user)) : Json();
}

Json connected(std::optional<bool> there, const NamedServer& server) {
  const auto known = is_connected(there, server);
  return known ? Json(*known) : Json();
}

Json holder(const Inspection& seen, const NamedServer& server) {
  Json json;
  json["id"] = json_text(seen.value);
  add_client(json, seen.client);
  json["connected"] = connected(seen.connected, server);
  json["asked_at"] = moment(seen.asked_at);
  const auto since = held_since(seen);
  json["since"] = since ? Json(utc_text(since->moment)) : Json();
  json["since_exact"] = since && since->exact;
  json["label"] = seen.label ? Json(json_text(seen.label->text)) : Json();
  json["left"] = seen.label && seen.label->left;
  json["expiry_seconds"] = seen.label ? Json(seconds(seen.label->expiry)) : Json();
  return json;
}

Json waiter(const Waiter& waiter, const NamedServer& server, WallTime now) {
  Json json;
  json["position"] = waiter.position;
  json["id"] = json_text(waiter.id);
  add_client(json, waiter.client);
  json["waiting_seconds"] = seconds(now - waiter.waiting_since);
  json["alive"] = waiter.alive;
  json["connected"] = connected(waiter.connected, server);
  json["fencing"] = waiter.wants_token;
  return json;
}

}  // namespace

std::string json_line(const Inspection& seen, const NamedServer& server) {
  Json json;
  json["schema"] = json_schema;
  add_json_text(json, "key", seen.key);
  json["state"] = state_name(seen.state);
  json["type"] = seen.type;
  json["lease_seconds"] = seen.lease_left ? Json(seconds(*seen.lease_left)) : Json();
  json["never_ends"] = never_ends(seen);
  json["holder"] = seen.state == Inspection::State::held ? holder(seen, server) : Json();
  if (seen.state == Inspection::State::foreign) add_json_text(json, "value", seen.value);
  const auto token = token_of(seen);
  json["token"] = token ? Json(*token) : Json();
  json["waiting"] = seen.waiting;
  json["places"] = seen.places;
  json["waiters"] = Json::array();
  for (const Waiter& each : seen.waiters) json["waiters"].push_back(waiter(each, server, seen.seen_at));
  json["missing_rights"] = seen.missing_rights;
  json["server"] = {{"name", json_text(server.name)}, {"role", server.role.empty() ? Json() : Json(server.role)}};
  json["at"] = utc_text(seen.seen_at);
  return json.dump() + "\n";
}

}  // namespace redismutex::cli
