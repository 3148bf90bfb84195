#include "net/resolve.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <utility>

#include "net/fork.hpp"
#include "net/thread.hpp"

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

struct Found {
  int problem = 0;
  Addresses addresses;
};

Found look_up(const std::string& host, const std::string& port, int flags) {
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

Found look_up(const std::string& host, const std::string& port) {
  const DelaysFork until_it_ends;
  Found found = look_up(host, port, AI_ADDRCONFIG);
  // AI_ADDRCONFIG hides ::1 on machines whose only IPv6 address is the loopback's.
  return found.problem == 0 ? std::move(found) : look_up(host, port, 0);
}

}  // namespace

/// What the thread and those who wait for it share.
struct Resolver::Lookup {
  Lookup(std::string host_name, std::string port_number) : host{std::move(host_name)}, port{std::move(port_number)} {}

  void run() {
    try {
      found = look_up(host, port);
    } catch (const std::bad_alloc&) {
      found.problem = EAI_MEMORY;
    }
    done = true;
    ready.kick();
  }

  const std::string host;
  const std::string port;
  Kick ready;
  std::atomic<bool> done{false};
  Found found{};  // read when `done`
};

Resolver::Resolver(std::string host, std::uint16_t port) : host_{std::move(host)}, port_{port} {}

std::variant<Addresses, Failure> Resolver::resolve(Deadline deadline, const Kick& kick) {
  if (Addresses known = known_addresses(host_, port_); !known.empty()) return known;
  if (!lookup_) {
    auto started = std::make_shared<Lookup>(host_, std::to_string(port_));
    start_thread([lookup = started] { lookup->run(); }).detach();
    lookup_ = std::move(started);
  }
  switch (poll_until(lookup_->ready.fd(), POLLIN, kick, deadline)) {
    case Polled::kicked: return Failure{Failure::Kind::cancelled, "cancelled"};
    case Polled::timed_out: return Failure{Failure::Kind::timed_out, "no answer while looking up '" + host_ + "'"};
    case Polled::ready: break;
  }
  const auto lookup = std::exchange(lookup_, nullptr);
  while (!lookup->done) std::this_thread::yield();  // it was done before we were told
  if (lookup->found.problem == 0) return std::move(lookup->found.addresses);
  return Failure{Failure::Kind::unreachable,
                 "cannot look up '" + host_ + "': " + ::gai_strerror(lookup->found.problem)};
}

}  // namespace redismutex::net
