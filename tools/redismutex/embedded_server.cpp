#include "embedded_server.hpp"

#include <sys/file.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <chrono>

#include "embedded_minder.hpp"
#include "inline_client.hpp"
#include "server_program.hpp"
#include "shared/embedded_place.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto answer_limit = 1s;
constexpr auto start_limit = 5s;
constexpr auto join_limit = 1s;  // the minder holds users.lock for a moment, to see whether anybody else does

}  // namespace

EmbeddedServer::EmbeddedServer(const Signals& signals, const ProcessName& name) {
  const auto start_lock = directory_.take_start_lock();
  users_lock_ = directory_.open_lock_file("users.lock");
  if (!users_lock_ || !comes_true(join_limit, [&] { return ::flock(users_lock_.get(), LOCK_SH | LOCK_NB) == 0; })) {
    no_embedded_server(directory_.path(), "was changed by someone else");
  }
  if (!answers()) start(signals);
  start_embedded_minder(directory_, signals, name);
}

ConnectionOptions EmbeddedServer::connection_options() const {
  ConnectionOptions options;
  options.unix_socket = embedded_socket();
  return options;
}

bool EmbeddedServer::answers() const { return InlineClient{embedded_socket(), answer_limit}.ask("PING") == "+PONG"; }

void EmbeddedServer::start(const Signals& signals) const {
  if (started(signals)) return;
  // What the last one kept may be of a newer version, or damaged.
  ::unlink(directory_.file("dump.rdb").c_str());
  if (!started(signals)) no_embedded_server(directory_.file("redis.log"), "the server does not start");
}

bool EmbeddedServer::started(const Signals& signals) const {
  ::unlink(embedded_socket().c_str());  // left by a server that was killed
  const auto pid = spawn_server({"--port",
                                 "0",  //
                                 "--unixsocket",
                                 embedded_socket(),  //
                                 "--unixsocketperm",
                                 "700",  //
                                 "--save",
                                 "",  //
                                 "--appendonly",
                                 "no",  //
                                 "--maxmemory-policy",
                                 "noeviction",  //
                                 "--daemonize",
                                 "yes",  //
                                 "--dir",
                                 directory_.path(),  //
                                 "--dbfilename",
                                 "dump.rdb",  //
                                 "--pidfile",
                                 directory_.file("redis.pid"),  //
                                 "--logfile",
                                 directory_.file("redis.log")},
                                signals);
  if (!pid) {
    no_embedded_server(directory_.path(),
                       "there is neither redis-server nor valkey-server on this machine; install one "
                       "(Debian: apt-get install redis-server), or name a server with --url");
  }
  // What was spawned ends when the daemon is off on its own.
  int status = 0;
  ::waitpid(*pid, &status, 0);
  return status == 0 && comes_true(start_limit, [&] { return answers(); });
}

}  // namespace redismutex::cli
