#include <sys/un.h>

#include <algorithm>
#include <redismutex/connection_options.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "net/in_process.hpp"
#include "net/tls.hpp"
#include "net/url.hpp"

namespace redismutex {
namespace net {
namespace {

bool has_zero(const std::string& text) { return text.find('\0') != std::string::npos; }

[[noreturn]] void unusable(const std::string& what) { throw std::invalid_argument{"ConnectionOptions::" + what}; }

void check_timeout(std::string_view field, std::chrono::milliseconds timeout) {
  constexpr std::chrono::milliseconds longest = std::chrono::hours{1};
  if (timeout.count() <= 0 || timeout > longest) {
    unusable(std::string{field} + " is " + std::to_string(timeout.count()) + " ms, must be from 1 to " +
             std::to_string(longest.count()) + " ms");
  }
}

/// What no name or address of a server has in it. The text is for people, and does not show the host: it might be a password.
void check_host(std::string_view field, const std::string& host) {
  const auto has = [&host](auto of_kind) { return std::any_of(host.begin(), host.end(), of_kind); };
  const auto contains = [field](std::string_view what) {
    unusable(std::string{field} + "host contains " + std::string{what});
  };
  if (has([](char c) { return c == ','; })) contains("a comma");
  if (has([](char c) { return c == ' '; })) contains("a blank");
  if (has([](char c) { return (c >= 0 && c < ' ') || c == '\x7F'; })) contains("a control character");
}

void check_address(std::string_view field, const std::string& host, std::uint16_t port) {
  if (host.empty() || has_zero(host)) unusable(std::string{field} + "host is empty or contains a zero byte");
  check_host(field, host);
  if (port == 0) unusable(std::string{field} + "port is 0, must be from 1 to 65535");
}

void check_unix_socket(const std::string& path) {
  if (path.size() < sizeof(sockaddr_un::sun_path) && !has_zero(path)) return;
  unusable("unix_socket has " + std::to_string(path.size()) + " bytes, at most " +
           std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " are possible, none of them zero");
}

void check_memory(const ConnectionOptions& options) {
  if (has_zero(options.memory)) unusable("memory contains a zero byte");
  if (connect_in_process() == nullptr) {
    unusable(
        "memory: a server inside the process is for tests, and this program has none: link the CMake target "
        "redismutex::testing, or what pkg-config says of redismutex-testing");
  }
  const bool has_users = options.credentials || !(options.username.empty() && options.password.empty());
  if (!options.unix_socket.empty() || options.tls || has_users || options.db != 0) {
    unusable("memory: a server inside the process has no unix_socket, tls, users and databases");
  }
}

/// Where there are several.
void check_nodes(const ConnectionOptions& options) {
  if (!options.unix_socket.empty() || !options.memory.empty()) {
    unusable("unix_socket and memory lead to one server: kind must be single");
  }
  if (options.nodes.empty())
    unusable("nodes is empty: one of the sentinels, or of the cluster's servers, must be named");
  for (const ServerAddress& node : options.nodes) check_address("nodes: ", node.host, node.port);
}

void check_where(const ConnectionOptions& options) {
  using Kind = ConnectionOptions::Kind;
  if (options.kind != Kind::single) {
    check_nodes(options);
  } else if (!options.nodes.empty()) {
    unusable("nodes: kind must be sentinel or cluster");
  } else if (!options.memory.empty()) {
    check_memory(options);
  } else if (options.unix_socket.empty()) {
    check_address("", options.host, options.port);
  } else {
    check_unix_socket(options.unix_socket);
  }
  if (options.kind == Kind::sentinel) {
    if (options.master.empty() || has_zero(options.master)) {
      unusable("master is empty or contains a zero byte; it is the name that the sentinels know the server by");
    }
  } else if (!(options.master.empty() && options.sentinel_username.empty() && options.sentinel_password.empty())) {
    unusable("master, sentinel_username and sentinel_password: kind must be sentinel");
  }
  if (options.kind == Kind::cluster && options.db != 0) {
    unusable("db is " + std::to_string(options.db) + ", must be 0: a cluster has one database");
  }
}

std::string shown(const std::string& host, std::uint16_t port) {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace

void validate(const ConnectionOptions& options) {
  check_where(options);
  if (options.credentials && !(options.username.empty() && options.password.empty())) {
    unusable("credentials stands in place of username and password, which must be empty");
  }
  if (options.db < 0) unusable("db is " + std::to_string(options.db) + ", must not be negative");
  if (options.tls && options.unix_socket.empty() && !has_tls()) {
    unusable(
        "tls: this library was built without TLS (REDISMUTEX_TLS=OFF), so rediss:// and valkeys:// can not be used");
  }
  if (options.tls && options.tls->certificate_file.empty() != options.tls->key_file.empty()) {
    unusable("tls: certificate_file and key_file belong together");
  }
  check_timeout("connect_timeout", options.connect_timeout);
  check_timeout("command_timeout", options.command_timeout);
  const auto printable = [](char c) { return c > ' ' && c <= '~'; };
  if (!std::all_of(options.client_name.begin(), options.client_name.end(), printable)) {
    unusable("client_name may have printable ASCII only, and no spaces");
  }
}

std::string display_name(const ServerAddress& address) { return shown(address.host, address.port); }

}  // namespace net

std::string REDISMUTEX_ABI::display_name(const ConnectionOptions& options) {
  using Kind = ConnectionOptions::Kind;
  if (!options.memory.empty()) return "memory:" + options.memory;
  const std::string db = std::to_string(options.db);
  if (!options.unix_socket.empty()) return "unix://" + options.unix_socket + (options.db == 0 ? "" : "?db=" + db);
  std::string name = options.tls ? "rediss" : "redis";
  if (options.kind == Kind::sentinel) name += "+sentinel";
  if (options.kind == Kind::cluster) name += "+cluster";
  name += "://";
  if (options.kind == Kind::single) name += net::shown(options.host, options.port);
  for (const ServerAddress& node : options.nodes) {
    if (&node != &options.nodes.front()) name += ",";
    name += net::display_name(node);
  }
  if (options.kind == Kind::sentinel) name += "/" + options.master;
  return options.db == 0 ? name : name + "/" + db;
}

}  // namespace redismutex
