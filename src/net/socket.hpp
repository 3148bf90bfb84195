#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace redismutex::net {

/// A socket, or another descriptor, that belongs to the process that opened it: a child of fork() gets no copy. (FD_CLOEXEC does
/// that for exec() only.) The child's is closed within fork(), without a word to the peer, so that a child that lives on does not keep its
/// parent's connections open.
class Socket {
 public:
  Socket() = default;

  /// Has `open` open one; -1: it could not, errno says why.
  static Socket opened_by(const std::function<int()>& open);

  /// As ::socket() does it, close-on-exec and non-blocking. Not valid() if there is none to be had; errno says why.
  static Socket open(int family, int type);

  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  int get() const noexcept { return fd_; }
  bool valid() const noexcept { return fd_ >= 0; }

 private:
  void close() noexcept;

  int fd_ = -1;
  std::uint64_t fork_generation_ = 0;  // in which it was opened; in later ones it is closed
};

/// The peer of a connected socket: an address of the internet with its port, or the path of a unix socket; empty if that can not be said.
std::string peer_of(const Socket& socket);

}  // namespace redismutex::net
