#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "memory/host.hpp"
#include "net/stream.hpp"

namespace redismutex::memory {

/// A client's end of a connection to a server in this process: what it writes goes to the server at once, and what the server says is read
/// from a socket, so that it can be waited for as everywhere.
class Stream final : public net::Stream {
 public:
  Stream(std::shared_ptr<Host> host, Host::Connection connection, int fd)
      : host_{std::move(host)}, connection_{connection}, fd_{fd} {}
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Transfer read_now(std::span<char> buffer) override;
  Transfer read_blocking(std::span<char> buffer) override;
  bool has_buffered() override { return false; }
  Transfer write_now(std::string_view bytes) override;
  void shut_down() noexcept override;
  int fd() const noexcept override { return fd_; }

 private:
  const std::shared_ptr<Host> host_;
  const Host::Connection connection_;
  const int fd_;  // the host closes it
};

}  // namespace redismutex::memory
