#include "redis_cli.hpp"

#include "shared/shell_word.hpp"

namespace redismutex::cli {

namespace {

Credentials login_of(const ConnectionOptions& server) {
  return server.credentials ? server.credentials() : Credentials{server.username, server.password};
}

}  // namespace

std::string own_command(const std::string& words, const std::string& server, const std::string& key) {
  return "redismutex " + words + server + " " + shell_operand(key);
}

Way way_to(const ConnectionOptions& server) {
  // Where there are several the person on call has to find out which one it is.
  std::string options =
      server.kind == ConnectionOptions::Kind::cluster
          ? "-c -h " + shell_word(server.nodes.front().host) + " -p " + std::to_string(server.nodes.front().port)
      : server.kind == ConnectionOptions::Kind::sentinel ? "-h MASTER"
      : server.unix_socket.empty() ? "-h " + shell_word(server.host) + " -p " + std::to_string(server.port)
                                   : "-s " + shell_word(server.unix_socket);
  if (server.tls) options += " --tls";
  if (server.db != 0) options += " -n " + std::to_string(server.db);
  const Credentials login = login_of(server);
  // A login may be one for locks alone: who may change the server is asked for.
  if (!login.username.empty()) {
    return {options, " --user " + shell_word(login.username) + " --askpass", " --user ADMIN --askpass"};
  }
  if (!login.password.empty()) return {options, " --askpass", " --askpass"};
  return {options};
}

std::string user_of(const ConnectionOptions& server) {
  const std::string name = login_of(server).username;
  return name.empty() ? "default" : name;
}

}  // namespace redismutex::cli
