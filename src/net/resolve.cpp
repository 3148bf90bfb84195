#include "net/resolve.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "net/fork.hpp"

namespace redismutex::net {
namespace {

template <class Sockaddr>
Address make_address(const Sockaddr& from) {
  Address address{.size = sizeof from};
  std::memcpy(&address.bytes, &from, sizeof from);
  return address;
}

/// Empty if the text is not an address.
Addresses read_address(const std::string& text, std::uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) return {make_address(v4)};
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) return {make_address(v6)};
  return {};
}

/// The addresses of what needs no look-up; of anything else none.
Addresses known_addresses(const std::string& host, std::uint16_t port) {
  if (host != "localhost") return read_address(host, port);
  // The loopback interface, by RFC 6761: neither files nor name servers are asked.
  Addresses both = read_address("::1", port);
  both.push_back(read_address("127.0.0.1", port).front());
  return both;
}

}  // namespace

Resolver::Resolver(std::string host, std::uint16_t port)
    : host_{std::move(host)},
      port_{port},
      lookup_{[name = host_, number = std::to_string(port)] { return look_up(name, number); }} {}

Resolver::Found Resolver::look_up(const std::string& host, const std::string& port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* first = nullptr;
  Found found{.problem = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &first)};
  if (found.problem != 0) return found;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all{first, ::freeaddrinfo};
  for (const addrinfo* one = first; one != nullptr; one = one->ai_next) {
    Address& address = found.addresses.emplace_back();
    address.size = one->ai_addrlen;
    std::memcpy(&address.bytes, one->ai_addr, one->ai_addrlen);
  }
  return found;
}

Resolver::Found Resolver::look_up(const std::string& host, const std::string& port) noexcept {
  const DelaysFork until_it_ends;
  try {
    Found found = look_up(host, port, AI_ADDRCONFIG);
    // AI_ADDRCONFIG hides ::1 on machines whose only IPv6 address is the loopback's.
    return found.problem == 0 ? std::move(found) : look_up(host, port, 0);
  } catch (const std::bad_alloc&) {
    return {.problem = EAI_MEMORY, .addresses = {}};
  }
}

std::variant<Awaited, Addresses, Failure> Resolver::step(Deadline now) {
  if (Addresses known = known_addresses(host_, port_); !known.empty()) return known;
  auto looked_up = lookup_.step(now);
  if (const auto* awaited = std::get_if<Awaited>(&looked_up)) return *awaited;
  auto& found = std::get<Found>(looked_up);
  if (found.problem == 0) return std::move(found.addresses);
  return Failure{Failure::Kind::unreachable, "cannot look up '" + host_ + "': " + ::gai_strerror(found.problem)};
}

}  // namespace redismutex::net
