#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/link.hpp"
#include "net/plain_stream.hpp"
#include "net/poll.hpp"
#include "net/reactor.hpp"
#include "net/wire.hpp"
#include "shown.hpp"
#include "support/limits.hpp"
#include "support/posix.hpp"

/// What the tests of net::Link stand on: a link over a socket pair whose other end is the test.
namespace redismutex::net {

using redismutex::testing::Descriptor;

/// For what must happen: long, because it is waited for only when something is broken.
using testing::limit;

inline Deadline far() { return std::chrono::steady_clock::now() + 10 * limit; }

inline void PrintTo(Link::Waited waited, std::ostream* out) {
  constexpr std::array names{"done", "broken", "timed_out", "stopped"};
  *out << names[static_cast<std::size_t>(waited)];
}

inline void PrintTo(Failure::Kind kind, std::ostream* out) {
  constexpr std::array names{"unreachable", "exhausted",   "timed_out",     "cancelled",
                             "refused",     "turned_away", "refused_login", "unusable"};
  *out << names[static_cast<std::size_t>(kind)];
}

/// The server's end of a link.
class Peer {
 public:
  explicit Peer(Descriptor socket) : socket_{std::move(socket)} {
    const timeval value{.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(limit).count(), .tv_usec = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
  }

  /// Whether the link took all of it.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// The words of the next command; nothing when the link was shut down instead.
  std::optional<std::vector<std::string>> receive() {
    std::vector<std::string> words;
    const auto count = header('*');
    for (std::size_t i = 0; count && i < *count; ++i) {
      const auto size = header('$');
      if (!size || !fill(*size + 2)) return std::nullopt;
      words.push_back(buffer_.substr(0, *size));
      buffer_.erase(0, *size + 2);
    }
    return count ? std::optional{words} : std::nullopt;
  }

  /// The bytes of the next commands, as they are on the wire.
  std::string receive_bytes(std::size_t count) {
    fill(count);
    return std::exchange(buffer_, {});
  }

  void close() { socket_ = Descriptor{}; }

 private:
  /// Whether so many bytes are in the buffer.
  bool fill(std::size_t count) {
    std::array<char, 64 * 1024> bytes;
    while (buffer_.size() < count) {
      const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
      if (got <= 0) return false;
      buffer_.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return true;
  }

  std::optional<std::size_t> header(char type) {
    while (buffer_.find('\n') == std::string::npos) {
      if (!fill(buffer_.size() + 1)) return std::nullopt;
    }
    if (buffer_.front() != type) throw std::runtime_error{"not a command: " + buffer_};
    const std::size_t number = std::stoul(buffer_.substr(1));
    buffer_.erase(0, buffer_.find('\n') + 1);
    return number;
  }

  Descriptor socket_;
  std::string buffer_;
};

/// A link and its peer.
class Linked {
 public:
  struct Settings {
    std::chrono::milliseconds reply_timeout = limit;
    bool tcp = false;  ///< over the loopback interface, in place of unix sockets
    std::function<void(ReplyView)> on_push = [](ReplyView) {};
    std::function<void(const Link&)> on_broken = {};
    /// Puts another stream around the socket's own.
    std::function<std::unique_ptr<Stream>(std::unique_ptr<Stream>)> wrap = {};
    /// What the login has left.
    Greeting greeting = {};
    std::function<Wire()> wire = [] { return Wire{}; };
  };

  Linked() : Linked{Settings{}} {}
  explicit Linked(const Settings& settings) : Linked{settings, settings.tcp ? make_tcp_pair() : make_pair()} {}

 private:
  using Pair = std::pair<Descriptor, Descriptor>;

  static Pair make_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error{"socketpair"};
    return {Descriptor{ends[0]}, Descriptor{ends[1]}};
  }

  static Pair make_tcp_pair() {
    const Descriptor listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    Descriptor ours{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const bool connected = ::bind(listener.get(), any, size) == 0 && ::listen(listener.get(), 1) == 0 &&
                           ::getsockname(listener.get(), any, &size) == 0 && ::connect(ours.get(), any, size) == 0;
    Descriptor peers{connected ? ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC) : -1};
    if (!peers.valid()) throw std::runtime_error{"no TCP connection to ourselves"};
    const int on = 1;
    for (const int fd : {ours.get(), peers.get()}) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return {std::move(ours), std::move(peers)};
  }

  static std::unique_ptr<Stream> make_stream(const Settings& settings, Descriptor socket) {
    auto stream = std::make_unique<PlainStream>(Socket::opened_by([&socket] { return socket.release(); }));
    if (settings.wrap) return settings.wrap(std::move(stream));
    return stream;
  }

  Linked(const Settings& settings, Pair ends)
      : socket{ends.first.get()},
        peer{std::move(ends.second)},
        link{*reactor_,
             {make_stream(settings, std::move(ends.first)), settings.wire(), settings.greeting},
             settings.reply_timeout,
             {.on_push = settings.on_push, .on_broken = settings.on_broken}} {}

  const std::shared_ptr<Reactor> reactor_ = Reactor::shared();

 public:
  const int socket;  ///< the link's own
  Peer peer;
  Link link;
};

/// Some calls of one thread, which it waits for one after the other.
class Burst {
 public:
  explicit Burst(int size) {
    for (int i = 0; i < size; ++i) calls_.emplace_back(caller_);
  }
  BlockingCall& operator[](std::size_t index) { return calls_[index]; }
  auto begin() { return calls_.begin(); }
  auto end() { return calls_.end(); }

 private:
  Caller caller_;
  std::deque<BlockingCall> calls_;
};

/// One call of a thread.
class Request {
 public:
  operator BlockingCall&() { return call_; }    // NOLINT(google-explicit-constructor): it is one
  BlockingCall* operator&() { return &call_; }  // NOLINT(google-runtime-operator): as above
  ReplyView reply() const { return call_.reply(); }

 private:
  Caller caller_;
  BlockingCall call_{caller_};
};

/// Sends a command of one word.
inline void send(Link& link, Call& call, std::string_view word) {
  const std::array arguments{word};
  link.send({{&call, arguments}});
}
inline void send(Link& link, Request& request, std::string_view word) {
  send(link, static_cast<BlockingCall&>(request), word);
}

/// A call that nobody waits for.
class Posted final : public Call {
 public:
  Posted() : Call{[](Call& call) noexcept { ++static_cast<Posted&>(call).times_over_; }} {}
  int times_over() const noexcept { return times_over_; }

 private:
  std::atomic<int> times_over_{0};
};

}  // namespace redismutex::net
