#include "fake_server.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <utility>

namespace redismutex::testing {
namespace {

/// Takes "<mark><number>\r\n" off the front.
std::optional<std::size_t> take_number(std::string_view& bytes, char mark) {
  const auto end = bytes.find("\r\n");
  if (end == std::string_view::npos || bytes.front() != mark) return std::nullopt;
  const auto number = std::stoul(std::string(bytes.substr(1, end - 1)));
  bytes.remove_prefix(end + 2);
  return number;
}

/// Takes one command in RESP off the front, if there is a whole one.
std::optional<std::vector<std::string>> take_command(std::string& bytes) {
  std::string_view rest = bytes;
  const auto count = take_number(rest, '*');
  std::vector<std::string> command;
  while (count && command.size() < *count) {
    const auto size = take_number(rest, '$');
    if (!size || rest.size() < *size + 2) return std::nullopt;
    command.emplace_back(rest.substr(0, *size));
    rest.remove_prefix(*size + 2);
  }
  if (!count) return std::nullopt;
  bytes.erase(0, bytes.size() - rest.size());
  return command;
}

}  // namespace

FakeServer::FakeServer(Answer answer, std::string greeting)
    : answer_(std::move(answer)),
      greeting_(std::move(greeting)),
      listening_(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")),
      stop_(checked(::eventfd(0, EFD_CLOEXEC), "eventfd")) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  checked(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), size), "bind");
  checked(::listen(listening_.get(), 16), "listen");
  checked(::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

FakeServer::~FakeServer() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

FakeServer::Answer FakeServer::after_login(std::string then) {
  return [then = std::move(then)](const std::vector<std::string>& command) -> std::string {
    if (command.at(0) == "HELLO") return "%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n";
    if (command.at(0) == "CLIENT" || command.at(0) == "SELECT") return "+OK\r\n";
    return then;
  };
}

void FakeServer::serve() {
  while (wait_for(listening_.get())) {
    const Descriptor client(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client.get() >= 0) converse(client.get());
  }
}

/// Whether there is something to read, rather than the end.
bool FakeServer::wait_for(int descriptor) const {
  std::array<pollfd, 2> waiting{{{stop_.get(), POLLIN, 0}, {descriptor, POLLIN, 0}}};
  checked(::poll(waiting.data(), waiting.size(), -1), "poll");
  return waiting[0].revents == 0;
}

void FakeServer::converse(int client) const {
  const auto say = [client](const std::string& text) {
    return text.empty() || ::send(client, text.data(), text.size(), MSG_NOSIGNAL) > 0;
  };
  if (!say(greeting_)) return;
  std::string unread;
  std::array<char, 4096> chunk;
  while (wait_for(client)) {
    const auto size = ::recv(client, chunk.data(), chunk.size(), 0);
    if (size <= 0) return;
    unread.append(chunk.data(), static_cast<std::size_t>(size));
    while (const auto command = take_command(unread)) {
      const auto answer = answer_(*command);
      if (!answer || !say(*answer)) return;
    }
  }
}

}  // namespace redismutex::testing
