#pragma once

#include <netdb.h>

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "net/failure.hpp"
#include "net/poll.hpp"

namespace redismutex::net {

struct FreeAddresses {
  void operator()(addrinfo* first) const noexcept { ::freeaddrinfo(first); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

/// Finds the addresses of one host, anew each time, because they change. For one thread at a time.
///
/// The C library's look-up knows no time limit but that of the name servers, which is far beyond ours, and can not be
/// interrupted. So names are looked up in a thread that is left alone when it takes too long; there is never more than one.
class Resolver {
 public:
  Resolver(std::string host, std::uint16_t port);

  std::variant<Addresses, Failure> resolve(Deadline deadline, const Kick& kick);

 private:
  struct Lookup;

  std::variant<Addresses, Failure> judge(int problem, Addresses found) const;

  const std::string host_;
  const std::string port_;
  std::shared_ptr<Lookup> lookup_;  // that is under way
};

}  // namespace redismutex::net
