#include "memory/host.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <utility>

#include "memory/process.hpp"
#include "memory/protocol.hpp"
#include "memory/stream.hpp"

namespace redismutex::memory {
namespace {

using Status = net::Stream::Status;

// A client that does not read for longer is left, as a server does by client-output-buffer-limit.
constexpr std::size_t most_unsent = 32 * 1024 * 1024;

std::int64_t microseconds_since_epoch() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

}  // namespace

Host::Host(Process& process, std::string name, Server::Conduct conduct)
    : process_{process},
      name_{std::move(name)},
      server_{process.lua(),
              conduct,
              {.now_us = microseconds_since_epoch,
               .deliver = [this](Connection connection, Value value) { deliver(connection, std::move(value)); },
               .address = "memory:" + name_}},
      by_hand_{server_.connect()} {}

// ---- what befalls it ------------------------------------------------------------------------------------------------

std::variant<std::unique_ptr<net::Stream>, net::Failure> Host::connect() {
  std::array<int, 2> fds{};
  std::unique_ptr<net::Stream> stream;
  const std::lock_guard lock{process_.mutex()};
  if (is_away_) return net::Failure{net::Failure::Kind::unreachable, "the server inside this process has gone away"};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return net::Failure{net::Failure::Kind::exhausted, std::generic_category().message(errno)};
  }
  for (const int fd : fds) process_.opened(fd);
  const Connection connection = server_.connect();
  stream = std::make_unique<Stream>(shared_from_this(), connection, fds[1]);
  ends_.emplace(connection, End{.fd = fds[0]});
  return stream;
}

void Host::cut() noexcept {
  const std::lock_guard lock{process_.mutex()};
  close_all();
}

void Host::go_away() noexcept {
  const std::lock_guard lock{process_.mutex()};
  is_away_ = true;
  close_all();
}

void Host::come_back() {
  const std::lock_guard lock{process_.mutex()};
  is_away_ = false;
}

void Host::stand_still() {
  const std::lock_guard lock{process_.mutex()};
  stands_still_ = true;
}

void Host::go_on() {
  const std::lock_guard lock{process_.mutex()};
  stands_still_ = false;
  for (const Connection connection : std::exchange(waiting_, {})) run_commands(connection);
}

void Host::refuse_writes(std::string error) {
  const std::lock_guard lock{process_.mutex()};
  server_.refuse_writes(std::move(error));
}

void Host::restart() {
  const std::lock_guard lock{process_.mutex()};
  close_all();
  server_.forget_everything();
}

bool Host::end(const std::string& key) {
  const std::lock_guard lock{process_.mutex()};
  const bool was_there = server_.end(key);
  flush();
  return was_there;
}

Value Host::command(const std::vector<std::string>& arguments) {
  const std::lock_guard lock{process_.mutex()};
  server_.execute(by_hand_, arguments);
  server_.disconnect(by_hand_);
  flush();
  return std::exchange(answer_, {});
}

// ---- its connections ------------------------------------------------------------------------------------------------

net::Stream::Transfer Host::receive(Connection connection, std::string_view bytes) noexcept try {
  const std::lock_guard lock{process_.mutex()};
  const auto end = ends_.find(connection);
  if (end == ends_.end()) return {Status::closed, 0, "the server closed the connection"};
  end->second.received += bytes;
  if (stands_still_) {
    waiting_.push_back(connection);
  } else {
    run_commands(connection);
  }
  return {Status::ok, bytes.size(), {}};
} catch (const std::exception& error) {
  return {Status::closed, 0, error.what()};
}

void Host::run_commands(Connection connection) {
  for (auto end = ends_.find(connection); end != ends_.end(); end = ends_.find(connection)) {
    const auto command = take_command(end->second.received);
    if (!command) break;
    server_.execute(connection, *command);
  }
  flush();
}

void Host::deliver(Connection connection, Value value) {
  if (connection == by_hand_) {
    answer_ = std::move(value);
  } else if (const auto end = ends_.find(connection); end != ends_.end()) {
    append(end->second.unsent, value);
  }
}

void Host::flush() {
  std::vector<Connection> lost;
  for (auto& [connection, end] : ends_) {
    if (!flush(end)) lost.push_back(connection);
  }
  for (const Connection connection : lost) close(connection);
}

/// Whether the client still reads.
bool Host::flush(End& end) {
  while (!end.unsent.empty()) {
    const ssize_t sent = ::send(end.fd, end.unsent.data(), end.unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return (errno == EAGAIN || errno == EWOULDBLOCK) && end.unsent.size() <= most_unsent;
    end.unsent.erase(0, static_cast<std::size_t>(sent));
  }
  return true;
}

void Host::client_read(Connection connection) noexcept {
  const std::lock_guard lock{process_.mutex()};
  const auto end = ends_.find(connection);
  if (end != ends_.end() && !flush(end->second)) close(connection);
}

void Host::client_shut_down(Connection connection) noexcept {
  const std::lock_guard lock{process_.mutex()};
  close(connection);
}

void Host::client_left(Connection connection, int fd) noexcept {
  const std::lock_guard lock{process_.mutex()};
  close(connection);
  process_.close(fd);
}

void Host::close(Connection connection) noexcept {
  const auto end = ends_.find(connection);
  if (end == ends_.end()) return;
  server_.disconnect(connection);
  process_.close(end->second.fd);
  ends_.erase(end);
}

void Host::close_all() noexcept {
  while (!ends_.empty()) close(ends_.begin()->first);
  waiting_.clear();
}

}  // namespace redismutex::memory
