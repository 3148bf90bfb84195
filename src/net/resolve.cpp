#include "net/resolve.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>
#include <utility>

namespace redismutex::net {
namespace {

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
  if (found.problem == 0) found.addresses.reset(first);
  return found;
}

Found look_up_name(const std::string& host, const std::string& port) {
  Found found = look_up(host, port, AI_ADDRCONFIG);
  // AI_ADDRCONFIG hides ::1 on machines whose only IPv6 address is the loopback's.
  return found.problem == 0 ? std::move(found) : look_up(host, port, 0);
}

}  // namespace

/// What the thread and those who wait for it share.
struct Resolver::Lookup {
  Lookup(std::string host_name, std::string port_number) : host{std::move(host_name)}, port{std::move(port_number)} {}

  const std::string host;
  const std::string port;
  Kick ready;
  std::atomic<bool> done{false};
  Found found{};  // read when `done`
};

Resolver::Resolver(std::string host, std::uint16_t port) : host_{std::move(host)}, port_{std::to_string(port)} {}

std::variant<Addresses, Failure> Resolver::resolve(Deadline deadline, const Kick& kick) {
  if (Found found = look_up(host_, port_, AI_NUMERICHOST); found.problem == 0) return std::move(found.addresses);
  // This name is the machine's own, by RFC 6761, and the default: no name server is asked.
  if (host_ == "localhost") {
    Found found = look_up_name(host_, port_);
    return judge(found.problem, std::move(found.addresses));
  }
  if (!lookup_) {
    auto started = std::make_shared<Lookup>(host_, port_);
    std::thread{[lookup = started] {
      lookup->found = look_up_name(lookup->host, lookup->port);
      lookup->done = true;
      lookup->ready.kick();
    }}.detach();
    lookup_ = std::move(started);
  }
  switch (poll_until(lookup_->ready.fd(), POLLIN, kick, deadline)) {
    case Polled::kicked: return Failure{Failure::Kind::cancelled, "cancelled"};
    case Polled::timed_out: return Failure{Failure::Kind::timed_out, "no answer while looking up '" + host_ + "'"};
    case Polled::ready: break;
  }
  const auto lookup = std::exchange(lookup_, nullptr);
  while (!lookup->done) std::this_thread::yield();  // it was done before we were told
  return judge(lookup->found.problem, std::move(lookup->found.addresses));
}

std::variant<Addresses, Failure> Resolver::judge(int problem, Addresses found) const {
  if (problem == 0) return found;
  return Failure{Failure::Kind::unreachable, "cannot look up '" + host_ + "': " + ::gai_strerror(problem)};
}

}  // namespace redismutex::net
