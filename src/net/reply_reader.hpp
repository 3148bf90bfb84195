#pragma once

#include <hiredis/hiredis.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace redismutex::net {

struct FreeReply {
  void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

/// Makes replies of the bytes that come from a server, however they are cut, and within limits: more than these is not a
/// server that we talk to.
class ReplyReader {
 public:
  static constexpr std::size_t max_size = 1024 * 1024;  ///< of one reply, in bytes
  static constexpr int max_depth = 16;                  ///< lists within lists
  static constexpr long long max_elements = 16 * 1024;  ///< of one list

  ReplyReader();

  void feed(std::span<const char> bytes);

  /// The next reply that is complete, or null: then see problem().
  Reply next();

  /// What is wrong with the bytes, after which nothing more comes; empty as long as all is well.
  std::string problem() const;

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }
  };

  const std::unique_ptr<redisReader, FreeReader> reader_;
  std::size_t unfinished_ = 0;  // bytes behind the last complete reply
};

}  // namespace redismutex::net
