#pragma once

#include <chrono>

#include "net/socket.hpp"
#include "net/stream.hpp"

namespace redismutex::net {

/// A TCP or unix socket as it is.
class PlainStream final : public Stream {
 public:
  /// `timeout` bounds each blocking read.
  PlainStream(Socket socket, std::chrono::milliseconds timeout);

  Transfer read_now(std::span<char> buffer) override;
  Transfer read_blocking(std::span<char> buffer) override;
  bool has_buffered() override { return false; }
  Transfer write_now(std::string_view bytes) override;
  void shut_down() noexcept override;
  int fd() const noexcept override { return socket_.get(); }

 private:
  Transfer receive(std::span<char> buffer, int flags);

  Socket socket_;
};

}  // namespace redismutex::net
