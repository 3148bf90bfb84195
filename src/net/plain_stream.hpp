#pragma once

#include "net/faster_way.hpp"
#include "net/socket.hpp"
#include "net/stream.hpp"

namespace redismutex::net {

/// A TCP or unix socket as it is.
class PlainStream final : public Stream {
 public:
  explicit PlainStream(Socket socket);

  Transfer read_now(std::span<char> buffer) override;
  Transfer read_blocking(std::span<char> buffer) override;
  bool has_buffered() override { return false; }
  Transfer write_now(std::string_view bytes) override;
  void shut_down() noexcept override;
  int fd() const noexcept override { return socket_.get(); }

 private:
  Transfer receive(std::span<char> buffer, int flags);

  Socket socket_;
  bool is_local_ = false;
  FasterWay way_;  // to wait for bytes, where it is local
};

}  // namespace redismutex::net
