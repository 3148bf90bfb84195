#include "people.hpp"

#include <algorithm>
#include <redismutex/printable.hpp>

namespace redismutex::cli {
namespace {

constexpr auto see_primary = "(see primary)";

bool lacks_right_to_clients(const Inspection& seen) {
  const auto& missing = seen.missing_rights;
  return std::find(missing.begin(), missing.end(), "+client|list") != missing.end();
}

bool was_left(const Inspection& seen) { return seen.label && seen.label->left; }

std::string with_purpose(const std::string& who, const std::string& purpose) {
  return purpose.empty() ? who : who + " (" + purpose + ")";
}

}  // namespace

std::string process_text(const std::optional<Client>& client) {
  if (!client) return "?";
  return printable(client->host) + " pid " + std::to_string(client->pid);
}

std::string purpose_of(const Inspection& seen) {
  const std::string label = seen.label ? seen.label->text : std::string{};
  // What the command writes of itself, where nobody has said more, begins with that and goes on with process and host.
  const bool says_more = seen.client && !label.empty() && !label.starts_with(seen.client->purpose);
  if (seen.client && !says_more) return printable(seen.client->purpose);
  return printable(label);
}

std::optional<bool> is_connected(std::optional<bool> there, const NamedServer& server) {
  return server.is_replica() && there == false ? std::nullopt : there;
}

std::string holder_text(const Inspection& seen, const NamedServer& server) {
  if (seen.client) {
    const std::string process = with_purpose(process_text(seen.client), purpose_of(seen));
    return was_left(seen) ? process + ", which left it locked" : process;
  }
  if (was_left(seen)) return with_purpose("someone who left it locked", purpose_of(seen));
  if (server.is_replica()) return with_purpose("a process that only the primary knows", purpose_of(seen));
  if (seen.connected == false) return with_purpose("a process that is gone", purpose_of(seen));
  if (lacks_right_to_clients(seen)) {
    return with_purpose("a process that can not be shown: your user lacks +client|list", purpose_of(seen));
  }
  return with_purpose("a process that has no connection now, or a new one (--deep looks for it)", purpose_of(seen));
}

std::string short_holder_text(const Inspection& seen, const NamedServer& server) {
  switch (seen.state) {
    case Inspection::State::free: return "-";
    case Inspection::State::foreign: return "(foreign)";
    case Inspection::State::not_a_lock: return "(no lock)";
    case Inspection::State::held: break;
  }
  const std::string purpose = purpose_of(seen);
  const auto with = [&](const std::string& who) { return purpose.empty() ? who : who + " " + purpose; };
  if (seen.client) return with(printable(seen.client->host) + ":" + std::to_string(seen.client->pid));
  if (was_left(seen)) return with("(left)");
  if (server.is_replica()) return with(see_primary);
  if (seen.connected == false) return with("(gone)");
  return with(lacks_right_to_clients(seen) ? "(hidden)" : "(not found)");
}

std::string state_text(const Waiter& waiter, const NamedServer& server) {
  const bool is_gone = is_connected(waiter.connected, server) == false;
  if (!waiter.alive || is_gone) return "gone: passed over at the next hand-over";
  if (server.is_replica() && waiter.connected != true) return see_primary;
  return waiter.connected ? "connected" : "asks now and then";
}

bool never_ends(const Inspection& seen) { return seen.state != Inspection::State::free && !seen.lease_left; }

std::optional<std::uint64_t> token_of(const Inspection& seen) {
  if (seen.state != Inspection::State::held) return std::nullopt;
  if (seen.label && seen.label->token) return seen.label->token;
  // Minted after the holder asked: those who lock a key agree on fencing, so it is the holder's.
  if (!seen.floor || !seen.asked_at) return std::nullopt;
  const auto minted = std::chrono::microseconds{*seen.floor};
  return minted >= seen.asked_at->time_since_epoch() ? seen.floor : std::nullopt;
}

std::optional<Since> held_since(const Inspection& seen) {
  if (seen.label) return Since{seen.label->since, true};
  if (const auto token = token_of(seen)) return Since{WallTime{std::chrono::microseconds{*token}}, true};
  if (seen.asked_at) return Since{*seen.asked_at, false};
  return std::nullopt;
}

}  // namespace redismutex::cli
