#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <variant>

#include "memory/host.hpp"
#include "memory/lua_host.hpp"
#include "memory/server.hpp"
#include "net/failure.hpp"
#include "net/stream.hpp"

namespace redismutex::memory {

/// The servers of a process, and what they have in common. A child of fork() has none of its parent's: their descriptors are closed in it.
/// Is never destroyed, because static objects may have Connections. Thread-safe.
class Process {
 public:
  /// Makes the first one. To be called once, before all else.
  static void begin();

  static Process& current() noexcept;

  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// The server of that name, which is made at its first use.
  std::shared_ptr<Host> host(const std::string& name);

  /// A new one. Throws std::invalid_argument if there is one of that name.
  std::shared_ptr<Host> make_host(const std::string& name, Server::Conduct conduct = {});

  /// The server goes, with all that it knows. The next use of its name makes another one. Nothing if it is none of this process's.
  void remove(const Host& host) noexcept;

  /// A name that no server has.
  std::string unused_name();

  // For the servers and their streams:
  std::mutex& mutex() noexcept { return mutex_; }  ///< guards all of them, and what follows
  LuaHost& lua();
  void opened(int fd) { descriptors_.insert(fd); }
  void close(int fd) noexcept;

 private:
  explicit Process(Process* parent) : parent_{parent} {}

  static void before_fork();
  static void after_fork_in_parent();
  static void after_fork_in_child();

  [[maybe_unused]] Process* const parent_;  // or a leak detector would miss it
  std::mutex mutex_;
  std::unique_ptr<LuaHost> lua_;
  std::map<std::string, std::shared_ptr<Host>> hosts_;
  std::set<int> descriptors_;
  unsigned names_ = 0;
};

/// What `memory:` URLs are connected by.
std::variant<std::unique_ptr<net::Stream>, net::Failure> connect(const std::string& name);

}  // namespace redismutex::memory
