#pragma once

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace redismutex::testing {

class RespSocket;

/// A server's answer.
struct Reply {
  enum class Kind { nil, integer, text, error, array };

  Kind kind = Kind::nil;
  std::string text = {};  // of a string, a status or an error; decimal for an integer
  long long integer = 0;
  std::vector<Reply> elements = {};

  bool is_nil() const noexcept { return kind == Kind::nil; }
  bool is_error() const noexcept { return kind == Kind::error; }
};

/// One plain RESP2 connection to a server's unix socket. Of the library under test it shares the reading and writing of the
/// protocol only. Connects on first use and again after an I/O error,
/// or when the server has closed the connection. Thread-safe; in a forked child it makes a connection of
/// its own.
class RawClient {
 public:
  /// `greeting`, if any, is the command sent first on each connection.
  explicit RawClient(std::string socket_path, std::vector<std::string> greeting = {});
  ~RawClient();

  /// Sends a command and returns the answer, which may be an error of the server. Throws std::runtime_error if there is
  /// no connection or no answer within 5 s.
  Reply command(const std::vector<std::string>& arguments);

  /// Closes the connection, if there is one; the next command makes a new one.
  void disconnect();

 private:
  void connect();
  Reply exchange(const std::vector<std::string>& arguments);

  std::string socket_path_;
  std::vector<std::string> greeting_;
  std::mutex mutex_;
  std::unique_ptr<RespSocket> socket_;
  pid_t connected_in_ = 0;
};

}  // namespace redismutex::testing
