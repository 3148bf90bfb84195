#include "inline_client.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>

namespace redismutex::cli {
namespace {

constexpr std::size_t longest_answer = 1024;

}  // namespace

InlineClient::InlineClient(const std::string& socket_path, std::chrono::milliseconds limit) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) return;
  std::copy(socket_path.begin(), socket_path.end(), address.sun_path);

  Descriptor socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(limit - seconds);
  const timeval timeout{seconds.count(), rest.count()};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
  socket_ = std::move(socket);
}

std::string InlineClient::ask(std::string_view command) {
  const auto line = std::string{command} + "\r\n";
  if (::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) return {};
  std::string answer;
  for (char next = 0; answer.size() < longest_answer && ::recv(socket_.get(), &next, 1, 0) == 1;) {
    if (next == '\n') return answer;
    if (next != '\r') answer += next;
  }
  return {};
}

}  // namespace redismutex::cli
