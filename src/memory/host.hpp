#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "memory/server.hpp"
#include "memory/value.hpp"
#include "net/failure.hpp"
#include "net/stream.hpp"

namespace redismutex::memory {

class Process;

/// A server inside this process, and its connections. It has no thread: a command runs in the thread that sends it, and what that leads to
/// is in the sockets of those concerned before the thread goes on. So it has no rounds of its own either: a key whose time has come is
/// deleted by whoever looks. Thread-safe.
class Host : public std::enable_shared_from_this<Host> {
 public:
  using Connection = Server::Connection;

  /// With the lock of `process` held.
  Host(Process& process, std::string name, Server::Conduct conduct);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const std::string& name() const noexcept { return name_; }

  /// A new connection, or why there is none. The stream may outlive the server's interest in it: then the server has closed it.
  std::variant<std::unique_ptr<net::Stream>, net::Failure> connect();

  void cut() noexcept;  ///< ends all connections

  /// Ends all connections, and takes no new ones until come_back().
  void go_away() noexcept;
  void come_back();

  /// Runs no command until go_on(): those that are sent wait.
  void stand_still();
  void go_on();

  void refuse_writes(std::string error);
  void restart();  ///< ends all connections, and forgets everything
  bool end(const std::string& key);

  /// What a client is answered that no trouble keeps from the server.
  Value command(const std::vector<std::string>& arguments);

  // A stream's:
  net::Stream::Transfer receive(Connection connection, std::string_view bytes) noexcept;
  void client_read(Connection connection) noexcept;  ///< so there is room again
  void client_shut_down(Connection connection) noexcept;
  void client_left(Connection connection, int fd) noexcept;  ///< closes the descriptor

  void close_all() noexcept;  ///< with the lock held

 private:
  /// The server's end.
  struct End {
    int fd;
    std::string received = {};  // and not executed yet
    std::string unsent = {};    // for which the socket has no room
  };

  void run_commands(Connection connection);
  void deliver(Connection connection, Value value);
  void flush();
  static bool flush(End& end);
  void close(Connection connection) noexcept;

  Process& process_;
  const std::string name_;
  Server server_;
  const Connection by_hand_;  // of command()
  Value answer_;              // to that
  std::map<Connection, End> ends_;
  std::deque<Connection> waiting_;  // that have sent something while it stood still
  bool is_away_ = false;
  bool stands_still_ = false;
};

}  // namespace redismutex::memory
