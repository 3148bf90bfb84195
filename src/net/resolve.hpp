#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "net/background_call.hpp"
#include "net/failure.hpp"
#include "net/poll.hpp"

namespace redismutex::net {

/// Of a server: an address of the internet, with the port.
struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;

  int family() const noexcept { return bytes.ss_family; }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&bytes); }
};
using Addresses = std::vector<Address>;

/// Finds the addresses of one host, anew each time, because they change. For one thread at a time.
///
/// What is an address already, or `localhost`, is never looked up. The C library's look-up knows no time limit but that of the
/// name servers, which is far beyond ours, and can not be interrupted; and its locks, even for an address alone, stay taken in
/// a child that was forked while another thread looked something up. So names are looked up in a thread that is left alone
/// when it takes too long; there is never more than one.
class Resolver {
 public:
  Resolver(std::string host, std::uint16_t port);

  /// Begins a look-up if none is under way. Throws std::system_error if there is no thread or descriptor for it.
  std::variant<Awaited, Addresses, Failure> step(Deadline now);

 private:
  struct Found {
    int problem = 0;
    Addresses addresses;
  };
  static Found look_up(const std::string& host, const std::string& port, int flags);
  static Found look_up(const std::string& host, const std::string& port) noexcept;

  const std::string host_;
  const std::uint16_t port_;
  BackgroundCall<Found> lookup_;
};

}  // namespace redismutex::net
