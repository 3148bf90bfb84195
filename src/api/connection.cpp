#include <chrono>
#include <cstdlib>
#include <memory>
#include <redismutex/connection.hpp>
#include <redismutex/errors.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "api/report.hpp"
#include "api/request.hpp"
#include "api/runtime.hpp"
#include "api/runtimes.hpp"
#include "net/url.hpp"
#include "protocol/ping.hpp"

namespace redismutex {
namespace {

ConnectionOptions options_of(std::string_view url) {
  if (!url.empty()) return parse_url(url);
  for (const char* variable : {"REDISMUTEX_URL", "REDIS_URL"}) {
    const char* const named = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): only setenv() endangers it
    if (named != nullptr && *named != '\0') return parse_url(named);
  }
  return {};
}

}  // namespace

Connection::Connection(std::string_view url) : Connection{options_of(url)} {}

Connection::Connection(ConnectionOptions options) {
  net::validate(options);
  runtimes_ = std::make_shared<api::Runtimes>(std::move(options));
  runtimes_->present();
}

namespace {

/// Two that lead to one server, as far as the addresses tell.
bool lead_to_one(const ConnectionOptions& one, const ConnectionOptions& other) {
  if (!one.memory.empty() || !other.memory.empty()) return one.memory == other.memory;
  if (!one.unix_socket.empty() || !other.unix_socket.empty()) return one.unix_socket == other.unix_socket;
  return one.host == other.host && one.port == other.port;
}

void check_quorum(const QuorumOptions& options) {
  constexpr std::chrono::milliseconds longest = std::chrono::hours{24};
  if (options.grace >= std::chrono::milliseconds{0} && options.grace <= longest) return;
  throw std::invalid_argument{"QuorumOptions::grace is " + std::to_string(options.grace.count()) +
                              " ms; it must be from 0 to " + std::to_string(longest.count())};
}

void check_member(const api::Runtimes& member) {
  using Kind = ConnectionOptions::Kind;
  if (member.is_quorum()) throw std::invalid_argument{"Connection::quorum: one of the servers is itself a quorum"};
  const ConnectionOptions& options = member.options();
  if (options.kind == Kind::single) return;
  throw std::invalid_argument{"Connection::quorum: " + display_name(options) + " leads to " +
                              (options.kind == Kind::cluster ? "a cluster" : "a server that sentinels watch") +
                              ", and a quorum is of single servers"};
}

}  // namespace

Connection::Connection(std::shared_ptr<api::Runtimes> runtimes) noexcept : runtimes_{std::move(runtimes)} {}

Connection Connection::quorum(std::vector<Connection> servers, const QuorumOptions& options) {
  check_quorum(options);
  std::vector<std::shared_ptr<api::Runtimes>> members;
  for (Connection& server : servers) {
    check_member(*server.runtimes_);
    const ConnectionOptions& address = server.runtimes_->options();
    for (const auto& member : members) {
      if (!lead_to_one(member->options(), address)) continue;
      throw std::invalid_argument{"Connection::quorum: " + display_name(address) +
                                  " is there twice, and one server has one vote"};
    }
    members.push_back(std::move(server.runtimes_));
  }
  if (members.size() < 3 || members.size() % 2 == 0) {
    throw std::invalid_argument{"Connection::quorum: there are " + std::to_string(members.size()) +
                                " servers; it takes an odd number, and at least 3"};
  }
  Connection quorum{std::make_shared<api::Runtimes>(std::move(members), options)};
  quorum.runtimes_->quorum();
  return quorum;
}

void Connection::ping() const {
  const std::shared_ptr<api::Runtime> runtime = runtimes_->present();
  protocol::Ping machine;
  api::request(*runtime, machine, api::report::Action{"ping"});
}

}  // namespace redismutex
