#include "embedded_server.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "inline_client.hpp"
#include "server_program.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto answer_limit = 1s;
constexpr auto start_limit = 5s;
constexpr auto stop_limit = 5s;
constexpr auto lock_limit = start_limit + stop_limit;  // someone else may be starting or stopping the server
constexpr auto look_again_after = 2ms;

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw NoEmbeddedServer{"no embedded server: " + path + ": " + what};
}

/// Whether `condition` comes true within `limit`.
template <class Condition>
bool eventually(std::chrono::milliseconds limit, Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(look_again_after);
  }
  return true;
}

std::string directory_path() {
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  // Source: XDG Base Directory Specification: a path that is not absolute is invalid and to be ignored.
  if (runtime != nullptr && *runtime == '/') return std::string{runtime} + "/redismutex";
  return "/tmp/redismutex-" + std::to_string(::geteuid());
}

/// Anyone may make directories and links in /tmp: whoever owned this one could speak for the server.
void make_private_directory(const std::string& path) {
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) fail(path, std::strerror(errno));
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return;  // the last user of the server has just left; whoever goes on here will see
    fail(path, std::strerror(errno));
  }
  if (!S_ISDIR(found.st_mode)) fail(path, "is in the way: it is not a directory");
  if (found.st_uid != ::geteuid()) fail(path, "belongs to another user");
  if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0) fail(path, "is open to other users; chmod 700 it or remove it");
}

/// Nothing if the directory is gone.
Descriptor open_lock_file(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR)};
  if (!file && errno != ENOENT) fail(path, std::strerror(errno));
  return file;
}

/// Whether `file` is still what one finds at `path`: it may have been removed before it was locked.
bool is_at(const Descriptor& file, const std::string& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(file.get(), &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

}  // namespace

EmbeddedServer::EmbeddedServer(const Signals& signals) : directory_{directory_path()} {
  if (socket_path().size() >= sizeof(sockaddr_un::sun_path)) fail(socket_path(), "too long for a socket's path");
  const auto start_lock = take_start_lock();
  users_lock_ = open_lock_file(file("users.lock"));
  if (!users_lock_ || ::flock(users_lock_.get(), LOCK_SH | LOCK_NB) != 0)
    fail(directory_, "was changed by someone else");
  if (!answers()) start(signals);
}

EmbeddedServer::~EmbeddedServer() {
  try {
    stop_if_unused();
  } catch (const std::exception&) {
    // The server goes on, and the next to leave stops it.
  }
}

ConnectionOptions EmbeddedServer::connection_options() const {
  ConnectionOptions options;
  options.unix_socket = socket_path();
  return options;
}

/// Whoever has it finds the directory as it is until he gives it back.
Descriptor EmbeddedServer::take_start_lock() const {
  const auto path = file("start.lock");
  Descriptor lock;
  const bool taken = eventually(lock_limit, [&] {
    if (!lock || !is_at(lock, path)) {
      make_private_directory(directory_);
      lock = open_lock_file(path);
    }
    return lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0 && is_at(lock, path);
  });
  if (!taken) fail(path, "someone else is starting or stopping the server and does not get done");
  return lock;
}

bool EmbeddedServer::answers() const { return InlineClient{socket_path(), answer_limit}.ask("PING") == "+PONG"; }

void EmbeddedServer::start(const Signals& signals) const {
  ::unlink(socket_path().c_str());  // left by a server that was killed
  const auto log = file("redis.log");
  const auto pid =
      spawn_server({"--port",      "0",   "--unixsocket", socket_path(), "--unixsocketperm",   "700",              //
                    "--save",      "",    "--appendonly", "no",          "--maxmemory-policy", "noeviction",       //
                    "--daemonize", "yes", "--dir",        directory_,    "--pidfile",          file("redis.pid"),  //
                    "--logfile",   log},
                   signals);
  if (!pid) {
    fail(directory_,
         "there is neither redis-server nor valkey-server on this machine; install one "
         "(Debian: apt-get install redis-server), or name a server with --url");
  }
  // What was spawned ends when the daemon is off on its own.
  int status = 0;
  ::waitpid(*pid, &status, 0);
  if (status != 0 || !eventually(start_limit, [&] { return answers(); })) fail(log, "the server does not start");
}

void EmbeddedServer::stop_if_unused() {
  const auto start_lock = take_start_lock();
  if (::flock(users_lock_.get(), LOCK_EX | LOCK_NB) != 0) return;
  InlineClient server{socket_path(), stop_limit};
  if (server.ask("DBSIZE") != ":0") return;
  server.ask("SHUTDOWN NOSAVE");  // no answer: the connection ends with the server
  for (const auto* name : {"redis.log", "redis.pid", "redis.sock", "users.lock", "start.lock"}) {
    ::unlink(file(name).c_str());
  }
  ::rmdir(directory_.c_str());
}

}  // namespace redismutex::cli
