#include "raw_connection.hpp"

#include <redismutex/connection_options.hpp>
#include <span>
#include <stdexcept>

namespace redismutex::bench {
namespace {

testing::RespSocket connected(const ConnectionOptions& options) {
  return options.unix_socket.empty() ? testing::RespSocket::to_tcp(options.host, options.port)
                                     : testing::RespSocket::to_unix(options.unix_socket);
}

}  // namespace

RawConnection::RawConnection(const std::string& url) : socket_{connected(parse_url(url))} {}

net::Reply RawConnection::command(std::initializer_list<std::string_view> arguments) {
  socket_.send(std::span{arguments.begin(), arguments.size()});
  net::Reply reply = socket_.receive();
  if ((*reply).is_error()) throw std::runtime_error{std::string{(*reply).text()}};
  return reply;
}

}  // namespace redismutex::bench
