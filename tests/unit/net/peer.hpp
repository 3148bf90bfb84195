#pragma once

#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <chrono>
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
#include "shown.hpp"

/// What the tests of net::Link stand on: a link over a socket pair whose other end is the test.
namespace redismutex::net {

/// For what must happen: long, because it is waited for only when something is broken.
constexpr std::chrono::milliseconds limit = std::chrono::seconds{10};

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
    std::chrono::milliseconds stream_timeout = reply_timeout;
    Link::PushHandler on_push = [](ReplyView) {};
    /// Puts another stream around the socket's own.
    std::function<std::unique_ptr<Stream>(std::unique_ptr<Stream>)> wrap = {};
  };

  Linked() : Linked{Settings{}} {}
  explicit Linked(const Settings& settings) : Linked{settings, make_pair()} {}

 private:
  using Pair = std::pair<Descriptor, Descriptor>;

  static Pair make_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error{"socketpair"};
    return {Descriptor{ends[0]}, Descriptor{ends[1]}};
  }

  static std::unique_ptr<Stream> make_stream(const Settings& settings, Descriptor socket) {
    auto stream = std::make_unique<PlainStream>(Socket{std::move(socket)}, settings.stream_timeout);
    if (settings.wrap) return settings.wrap(std::move(stream));
    return stream;
  }

  Linked(const Settings& settings, Pair ends)
      : socket{ends.first.get()},
        peer{std::move(ends.second)},
        link{make_stream(settings, std::move(ends.first)), settings.reply_timeout, settings.on_push} {}

 public:
  const int socket;  ///< the link's own
  Peer peer;
  Link link;
};

/// Sends a command of one word.
inline void send(Link& link, Call& call, std::string_view word) {
  const std::array arguments{word};
  link.send({{&call, arguments}});
}

}  // namespace redismutex::net
