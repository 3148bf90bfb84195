#include "api/report.hpp"

#include <algorithm>
#include <array>
#include <redismutex/errors.hpp>
#include <redismutex/printable.hpp>
#include <string_view>

namespace redismutex::api::report {
namespace {

/// A key may be long: messages show its beginning.
std::string quoted(std::string_view key) {
  constexpr std::size_t longest = 80;
  std::string text{"'"};  // appended to, because g++ 12 warns of the sum of the three
  return text.append(printable(key, longest)).append("'");
}

struct Known {
  std::string_view code;
  ServerError::Reason reason;
  std::string_view remedy;
};

const Known& known(std::string_view code) {
  using Reason = ServerError::Reason;
  static constexpr std::array<Known, 9> all{{
      {"OOM", Reason::out_of_memory, "the server's maxmemory is used up"},
      {"NOREPLICAS", Reason::no_replicas, "fewer replicas are connected than its min-replicas-to-write"},
      {"MISCONF", Reason::not_saving, "look into the server's log: its disk may be full"},
      {"READONLY", Reason::read_only, "this is a replica: connect to the primary"},
      {"LOADING", Reason::loading, "the server was just started: try again"},
      {"BUSY", Reason::busy, "a script has been running on the server for long: SCRIPT KILL ends it"},
      {"NOPERM", Reason::no_permission, "this user lacks a right: see docs/deployment.md, \"Rights\""},
      {"WRONGTYPE", Reason::wrong_type, "something else than a lock is stored at this key"},
      {"", Reason::other, ""},
  }};
  return *std::find_if(all.begin(), all.end() - 1, [code](const Known& entry) { return entry.code == code; });
}

/// MOVED: of a server of a cluster that was not named as that. `server`: its name, which tells of what kind it was thought to be.
std::string remedy_for_moved(std::string_view server) {
  std::string text{"the server is one of a cluster: use redis"};
  constexpr std::string_view plain = "redis://";
  constexpr std::string_view with_tls = "rediss://";
  if (server.starts_with("unix://")) return text.append("+cluster://HOST:PORT");
  const bool is_tls = server.starts_with(with_tls);
  if (!is_tls && !server.starts_with(plain)) return {};
  const std::string_view address = server.substr(is_tls ? with_tls.size() : plain.size());
  // Without the database: a cluster has one.
  return text.append(is_tls ? "s" : "").append("+cluster://").append(address.substr(0, address.find('/')));
}

}  // namespace

std::string Action::text() const {
  return std::string{verb_} + (key_ != nullptr ? " lock " + quoted(key_->text()) : std::string{});
}

std::string cannot(const std::string& server, const Action& action, std::string_view why) {
  return "cannot " + action.text() + " on " + printable(server) + ": " + printable(why);
}

void raise(const std::string& server, const Action& action, const net::Failure& failure) {
  const std::string message = cannot(server, action, failure.text);
  switch (failure.kind) {
    case net::Failure::Kind::refused_login: throw LoginError{message};
    case net::Failure::Kind::cancelled: throw LockCancelled{message};
    case net::Failure::Kind::exhausted: throw ResourceError{message};
    default: throw ConnectionError{message};
  }
}

void raise_unknown(const std::string& server, const Action& action, const net::Failure& failure,
                   std::string_view consequence) {
  if (failure.kind == net::Failure::Kind::cancelled) raise(server, action, failure);
  throw OutcomeUnknownError{cannot(server, action, failure.text) + "; " + std::string{consequence}};
}

void raise(const std::string& server, const Action& action, const protocol::Refusal& refusal) {
  // Of replicas that Options::replicas wants the engine has said so already, without the server's word.
  const bool explains_itself = refusal.code == "NOREPLICAS" && refusal.text.find(refusal.code) == std::string::npos;
  const std::string remedy = explains_itself           ? std::string{}
                             : refusal.code == "MOVED" ? remedy_for_moved(server)
                                                       : std::string{known(refusal.code).remedy};
  const std::string message =
      cannot(server, action, refusal.text) + (remedy.empty() ? "" : " (" + printable(remedy) + ")");
  if (refusal.code == "NOAUTH") throw LoginError{message};
  throw ServerError{message, refusal.code};
}

}  // namespace redismutex::api::report

redismutex::ServerError::Reason redismutex::ServerError::reason() const noexcept {
  return api::report::known(code_).reason;
}
