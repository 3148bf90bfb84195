#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/posix.hpp"

namespace redismutex::testing {

/// Something that listens on a port of 127.0.0.1 and answers as a test says: a server in a state that is hard to bring a
/// real one into, or no Redis at all. One client at a time is enough.
class FakeServer {
 public:
  /// Called with each command as it arrives, in a thread of the FakeServer; returns the bytes to send back,
  /// or nothing: then it closes the connection.
  using Answer = std::function<std::optional<std::string>(const std::vector<std::string>& command)>;

  /// `greeting` is sent to whoever connects.
  explicit FakeServer(Answer answer, std::string greeting = {});
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;
  ~FakeServer();

  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

  /// The answers of a sound server to all that is said before the first real command, and `then` to that.
  static Answer after_login(std::string then);

 private:
  void serve();
  bool wait_for(int descriptor) const;
  void converse(int client) const;

  const Answer answer_;
  const std::string greeting_;
  Descriptor listening_;
  Descriptor stop_;  // readable when the thread is to end
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace redismutex::testing
