#include "raw_connection.hpp"

#include <poll.h>

#include <array>
#include <redismutex/connection_options.hpp>
#include <stdexcept>

namespace redismutex::bench {

RawConnection::RawConnection(const std::string& url) {
  const ConnectionOptions options = parse_url(url);
  context_.reset(options.unix_socket.empty() ? redisConnect(options.host.c_str(), options.port)
                                             : redisConnectUnix(options.unix_socket.c_str()));
  if (!context_ || context_->err != 0) throw std::runtime_error{"cannot connect to " + url};
}

RawReply RawConnection::command(std::initializer_list<std::string_view> arguments) {
  std::array<const char*, 8> texts;
  std::array<std::size_t, 8> sizes;
  int count = 0;
  for (const std::string_view argument : arguments) {
    texts.at(static_cast<std::size_t>(count)) = argument.data();
    sizes.at(static_cast<std::size_t>(count)) = argument.size();
    ++count;
  }
  RawReply reply{static_cast<redisReply*>(redisCommandArgv(context_.get(), count, texts.data(), sizes.data()))};
  if (!reply) throw std::runtime_error{context_->errstr};
  if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error{reply->str};
  return reply;
}

RawReply RawConnection::next(std::chrono::milliseconds limit) {
  for (;;) {
    void* reply = nullptr;
    if (redisGetReplyFromReader(context_.get(), &reply) != REDIS_OK) throw std::runtime_error{context_->errstr};
    if (reply != nullptr) return RawReply{static_cast<redisReply*>(reply)};
    pollfd polled{context_->fd, POLLIN, 0};
    if (::poll(&polled, 1, static_cast<int>(limit.count())) <= 0) return nullptr;
    if (redisBufferRead(context_.get()) != REDIS_OK) throw std::runtime_error{context_->errstr};
  }
}

}  // namespace redismutex::bench
