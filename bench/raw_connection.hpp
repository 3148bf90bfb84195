#pragma once

#include <hiredis/hiredis.h>

#include <chrono>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace redismutex::bench {

struct FreeReply {
  void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
};
using RawReply = std::unique_ptr<redisReply, FreeReply>;

/// hiredis as it is, in the calling thread: one send() and one recv() a command.
class RawConnection {
 public:
  /// Connects. Throws std::runtime_error, as all functions here do.
  explicit RawConnection(const std::string& url);

  /// At most 8 arguments. A server's refusal throws too.
  RawReply command(std::initializer_list<std::string_view> arguments);

  /// The next thing that comes by itself, or nothing after `limit`.
  RawReply next(std::chrono::milliseconds limit);

 private:
  struct FreeContext {
    void operator()(redisContext* context) const noexcept { redisFree(context); }
  };

  std::unique_ptr<redisContext, FreeContext> context_;
};

}  // namespace redismutex::bench
