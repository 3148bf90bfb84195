#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "support/process.hpp"
#include "support/raw_client.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::testing {

/// What a server needs to speak TLS: PEM files, see Certificates.
struct ServerTls {
  std::string certificate_file;
  std::string key_file;
  std::string ca_file;  // that must have signed a client's certificate
  bool requires_client_certificate = false;
};

struct ServerOptions {
  bool tcp = false;                     // listen on a free port of 127.0.0.1 too
  bool ipv6 = false;                    // with tcp or tls: and on the same port of ::1
  bool cluster = false;                 // with tcp: the port that a cluster's servers use among themselves is free, too
  std::string password = {};            // of the user "default"
  std::vector<std::string> users = {};  // ACL rules: "alice on >secret ~* +@all"; without channels on Redis 6.0
  std::optional<ServerTls> tls = {};    // listen with TLS on another free port
  std::vector<std::string> directives = {};   // further lines of redis.conf
  std::vector<std::string> arguments = {};    // further arguments of the program, as "--sentinel"
  std::vector<std::string> environment = {};  // NAME=value, each added to the test's own
};

/// Major, minor and patch level; compare with `server.version() >= Version{7, 2, 0}`.
using Version = std::array<int, 3>;

/// A real server for one test, on a unix socket in a directory of its own and, if asked, on free ports of the loopback
/// interface. Keeps nothing on disk unless `directives` say so. It is killed with this object, or with the thread that
/// started it (see ChildProcess).
///
/// The program is $REDISMUTEX_TEST_SERVER, split at spaces, else redis-server. The object watches the server through a
/// connection of its own as user "control", who may do everything whatever `password` and `users` say.
///
/// Commands may be sent from any thread and from forked children; the rest belongs to one thread.
class Server {
 public:
  /// Returns when the server answers. Throws std::runtime_error with the server's log if it does not.
  explicit Server(ServerOptions options = {});

  /// "unix:///path", with the password if there is one: "unix://:password@/path".
  std::string url() const;

  /// "redis://127.0.0.1:port", with the password if there is one.
  std::string tcp_url() const;

  /// "rediss://localhost:port", with the password if there is one.
  std::string tls_url() const;

  const std::string& socket_path() const noexcept { return socket_path_; }
  std::uint16_t port() const noexcept { return port_; }
  std::uint16_t tls_port() const noexcept { return tls_port_; }
  const std::string& directory() const noexcept { return directory_.path(); }
  pid_t pid() const { return process_.value().pid(); }

  /// What the server printed since its last start.
  std::string log() const { return process_.value().stdout_text(); }

  /// Ends the server in good order (SIGTERM; SIGKILL if it takes longer than 5 s), and returns when it has ended.
  void stop();

  /// Ends it like a power cut (SIGKILL), and returns when it has ended.
  void kill();

  /// Starts it again on the same addresses, after stopping it if it runs: empty, unless it was told to persist.
  void start();

  /// Makes it stand still (SIGSTOP), with connections open but silent, until resume().
  void pause() { process_.value().pause(); }
  void resume() { process_.value().resume(); }

  /// Any command; see RawClient::command.
  Reply command(const std::vector<std::string>& arguments) { return control_.command(arguments); }

  std::optional<std::string> get(const std::string& key);
  bool exists(const std::string& key);

  /// Milliseconds; -1 for a key without expiry, -2 for none.
  long long pttl(const std::string& key);

  /// All keys, sorted.
  std::vector<std::string> keys();

  /// How often each command ran since the start or CONFIG RESETSTAT, by its lower-case name (subcommands as
  /// "script|load"). Includes the commands sent through this object.
  std::map<std::string, long long> command_calls();

  /// Connections other than this object's own.
  int connected_clients();

  /// "redis" or "valkey".
  std::string product();
  Version version();

  /// The fields of one section of INFO.
  std::map<std::string, std::string> info(const std::string& section);

 private:
  void launch();
  void write_configuration() const;
  bool wait_until_ready();

  ServerOptions options_;
  TempDir directory_;
  std::string socket_path_;
  std::uint16_t port_ = 0;
  std::uint16_t tls_port_ = 0;
  RawClient control_;
  std::optional<ChildProcess> process_;
};

}  // namespace redismutex::testing
