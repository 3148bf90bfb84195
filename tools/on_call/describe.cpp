#include "describe.hpp"

#include <algorithm>
#include <redismutex/printable.hpp>

#include "moments.hpp"
#include "people.hpp"
#include "redis_cli.hpp"
#include "shared/url_source.hpp"
#include "table.hpp"

namespace redismutex::cli {
namespace {

constexpr std::size_t indent = 16;
constexpr std::size_t longest_value = 64;

std::string counted(std::size_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

/// Of a key that is there.
std::string lease_text(const Inspection& seen, const Colours& colours) {
  if (!seen.lease_left) return colours.red("no TTL: will never end by itself");
  std::string text = "lease: " + duration_text(*seen.lease_left);
  if (!seen.label || seen.label->expiry.count() == 0) return text + " left";
  const auto ago = seen.label->expiry - *seen.lease_left;
  text += " of " + duration_text(seen.label->expiry) + " left";
  const bool is_renewed = seen.seen_at - seen.label->since > ago + std::chrono::seconds{1};
  return is_renewed ? text + ", renewed " + duration_text(ago) + " ago" : text;
}

std::string since_text(const Inspection& seen) {
  const auto since = held_since(seen);
  if (!since) return {};
  const std::string clock = clock_text(since->moment, seen.seen_at);
  const std::string age = duration_text(seen.seen_at - since->moment);
  return since->exact ? "since " + clock + " (" + age + "); " : "asked for at " + clock + " (" + age + " ago); ";
}

void add_holder(std::vector<std::string>& lines, const Inspection& seen, const NamedServer& server,
                const std::string& place, const Colours& colours) {
  std::string first = "held by " + holder_text(seen, server);
  // Of a unix socket the address is the server's path.
  if (seen.client && !seen.client->address.starts_with('/')) first += ", " + printable(seen.client->address);
  if (seen.client && !seen.client->user.empty()) first += ", user " + printable(seen.client->user);
  if (!seen.client && server.is_replica())
    first += "; see " + own_command("status", words_for({server.primary}), seen.key);
  lines.push_back(first);
  lines.push_back(since_text(seen) + lease_text(seen, colours));
  if (const auto token = token_of(seen)) lines.back() += "; token " + std::to_string(*token);
  lines.push_back("id " + printable(seen.value) + "; " + place);
}

void add_state(std::vector<std::string>& lines, const Inspection& seen, const NamedServer& server,
               const Colours& colours) {
  const std::string place = "on " + server.name + (server.role.empty() ? "" : ", " + server.role);
  switch (seen.state) {
    case Inspection::State::free: lines.push_back("free, " + place); break;
    case Inspection::State::held: add_holder(lines, seen, server, place, colours); break;
    case Inspection::State::foreign:
      lines.push_back(colours.yellow("foreign") + ": taken, by a program that does not use redismutex");
      lines.push_back(lease_text(seen, colours) + "; " + place);
      lines.push_back("value " + printable(seen.value, longest_value));
      break;
    case Inspection::State::not_a_lock:
      lines.push_back(colours.yellow("not a lock") + ": something of the type " + printable(seen.type) +
                      " is stored there");
      lines.push_back(lease_text(seen, colours) + "; " + place);
      break;
  }
}

void add_line(std::vector<std::string>& lines, const Inspection& seen, const Colours& colours) {
  if (seen.waiting > 0) lines.push_back(counted(seen.waiting, "waits for it", "wait for it"));
  if (seen.unreadable > 0) {
    lines.push_back(counted(seen.unreadable, "place in line says", "places in line say") + " nothing: passed over");
  }
  if (seen.line_is_broken) {
    lines.push_back(colours.yellow("something else stands where its line should be") +
                    ": it is dropped when somebody waits");
  }
}

std::string waiters_text(const Inspection& seen, const NamedServer& server, const Colours& colours) {
  if (seen.waiters.empty()) return {};
  Table table;
  table.add({"#", "waiting", "who", "purpose", "state", "id"});
  for (const Waiter& waiter : seen.waiters) {
    table.add({std::to_string(waiter.position), duration_text(seen.seen_at - waiter.waiting_since),
               process_text(waiter.client), waiter.client ? printable(waiter.client->purpose) : "-",
               state_text(waiter, server), printable(waiter.id)});
  }
  auto lines = table.lines();
  lines.front() = colours.dim(lines.front());
  const std::size_t shown = seen.waiters.size() + seen.unreadable;
  if (seen.places > shown) lines.push_back("... " + std::to_string(seen.places - shown) + " more (--waiters all)");
  std::string text;
  for (const std::string& line : lines) text += "  " + line + "\n";
  return text;
}

}  // namespace

std::string state_name(Inspection::State state) {
  switch (state) {
    case Inspection::State::free: return "free";
    case Inspection::State::held: return "held";
    case Inspection::State::foreign: return "foreign";
    case Inspection::State::not_a_lock: break;
  }
  return "not-a-lock";
}

std::string role_text(const std::string& role) {
  if (role == "master") return "primary";
  return role == "slave" ? "replica" : role;
}

std::string describe(const Inspection& seen, const NamedServer& server, const Colours& colours) {
  std::vector<std::string> lines;
  add_state(lines, seen, server, colours);
  add_line(lines, seen, colours);
  std::string text = colours.bold(padded(printable(seen.key), indent - 2)) + "  " + lines.front() + "\n";
  for (std::size_t i = 1; i < lines.size(); ++i) text += std::string(indent, ' ') + lines[i] + "\n";
  return text + waiters_text(seen, server, colours);
}

std::string describe_shortly(const Inspection& seen, const NamedServer& server) {
  std::string text = printable(seen.key) + " " + state_name(seen.state);
  if (seen.state == Inspection::State::held) text += " by " + holder_text(seen, server);
  return text + ", " + (seen.waiting == 0 ? "nobody waits" : counted(seen.waiting, "waits", "wait"));
}

}  // namespace redismutex::cli
