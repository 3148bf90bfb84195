#include <cstdint>
#include <string>
#include <utility>

#include "memory/arguments.hpp"
#include "memory/server.hpp"

// Who the server is, and who its clients are.
namespace redismutex::memory {
namespace {

constexpr const char* no_such_subcommand = "ERR unknown subcommand or wrong number of arguments for 'client'";

}  // namespace

const char* Server::version() const {
  if (conduct_.before_7_0) return "6.2.0";
  return conduct_.before_7_2 ? "7.0.0" : "7.4.0";
}

/// HELLO [3 [SETNAME name]]: there are no users to log in as.
Value Server::hello(const Arguments& arguments) {
  if (arguments.size() > 1 && arguments[1] != "3") return Value::error("NOPROTO unsupported protocol version");
  if (arguments.size() == 4 && upper(arguments[2]) == "SETNAME") {
    clients_[caller_].name = arguments[3];
  } else if (arguments.size() > 2) {
    return complain("ERR Syntax error in HELLO option '" + arguments[2] + "'");
  }
  return Value::map({Value::bulk("server"), Value::bulk("redis"), Value::bulk("version"), Value::bulk(version()),
                     Value::bulk("proto"), Value::number(3), Value::bulk("id"), Value::number(caller_),
                     Value::bulk("mode"), Value::bulk("standalone"), Value::bulk("role"),
                     Value::bulk(follows_master_ ? "replica" : "master"), Value::bulk("modules"), Value::array({})});
}

/// All that clients of locks look for, whatever the section.
Value Server::info(const Arguments& /*arguments*/) {
  const std::int64_t uptime_s = (surroundings_.now_us() - started_at_us_) / 1'000'000;
  return Value::bulk("redis_version:" + std::string{version()} + "\r\nuptime_in_seconds:" + std::to_string(uptime_s) +
                     "\r\nredis_mode:standalone\r\nconnected_clients:" + std::to_string(clients_.size()) +
                     "\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nloading:0\r\naof_enabled:0\r\nrole:" +
                     (follows_master_ ? "slave" : "master") + "\r\nconnected_slaves:0\r\n");
}

/// It has no replicas.
Value Server::wait(const Arguments& arguments) {
  if (!integer(arguments[1]) || !integer(arguments[2])) return Value::error(not_an_integer);
  return Value::number(0);
}

Value Server::client(const Arguments& arguments) {
  const std::string what = upper(arguments[1]);
  if (what == "CACHING") return client_caching(arguments);
  if (what == "TRACKING") return client_tracking(arguments);
  if (what == "LIST") return client_list(arguments);
  if (what == "ID" && arguments.size() == 2) return Value::number(caller_);
  if (what == "SETINFO" && arguments.size() == 4 && !conduct_.before_7_2) return Value::status("OK");
  return complain(no_such_subcommand);
}

Value Server::client_caching(const Arguments& arguments) {
  if (arguments.size() != 3 || upper(arguments[2]) != "YES") return complain(no_such_subcommand);
  Client& client = clients_[caller_];
  if (!client.tracking) {
    return Value::error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
        "OPTOUT mode enabled");
  }
  client.caching = true;
  return Value::status("OK");
}

Value Server::client_tracking(const Arguments& arguments) {
  const std::size_t count = arguments.size();
  const bool noloop = count == 5 && upper(arguments[4]) == "NOLOOP";
  if ((count != 4 && !noloop) || upper(arguments[2]) != "ON" || upper(arguments[3]) != "OPTIN") {
    return complain(no_such_subcommand);
  }
  if (conduct_.refuses_tracking) return Value::error("NOPERM User has no permissions to run this command");
  Client& client = clients_[caller_];
  client.tracking = true;
  client.noloop = noloop;
  return Value::status("OK");
}

/// CLIENT LIST [ID id...]
Value Server::client_list(const Arguments& arguments) {
  const bool some = arguments.size() > 3 && upper(arguments[2]) == "ID";
  if (arguments.size() > 2 && !some) return complain("ERR syntax error");
  std::string lines;
  const auto add = [&](Connection id, const Client& client) {
    lines += "id=" + std::to_string(id) + " addr=" + surroundings_.address + " name=" + client.name + " user=default\n";
  };
  for (const auto& [id, client] : clients_) {
    if (!some) add(id, client);
  }
  for (std::size_t i = 3; i < arguments.size(); ++i) {
    const auto id = integer(arguments[i]);
    if (!id) return Value::error("ERR Invalid client ID");
    const auto place = clients_.find(static_cast<Connection>(*id));
    if (place != clients_.end()) add(place->first, place->second);
  }
  return Value::bulk(std::move(lines));
}

}  // namespace redismutex::memory
