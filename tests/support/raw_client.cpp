#include "support/raw_client.hpp"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

namespace redismutex::testing {
namespace {

constexpr timeval answer_limit{.tv_sec = 5, .tv_usec = 0};

// hiredis' own would kill the test with SIGPIPE when the server has gone.
ssize_t write_without_sigpipe(redisContext* context) {
  return ::send(context->fd, context->obuf, sdslen(context->obuf), MSG_NOSIGNAL);
}

Reply to_reply(const redisReply& from) {
  Reply reply;
  switch (from.type) {
    case REDIS_REPLY_NIL: break;
    case REDIS_REPLY_INTEGER:
      reply.kind = Reply::Kind::integer;
      reply.integer = from.integer;
      reply.text = std::to_string(from.integer);
      break;
    case REDIS_REPLY_ARRAY:
      reply.kind = Reply::Kind::array;
      for (std::size_t i = 0; i < from.elements; ++i) reply.elements.push_back(to_reply(*from.element[i]));
      break;
    default:
      reply.kind = from.type == REDIS_REPLY_ERROR ? Reply::Kind::error : Reply::Kind::text;
      reply.text.assign(from.str, from.len);
  }
  return reply;
}

}  // namespace

void RawClient::Free::operator()(redisContext* context) const { redisFree(context); }

RawClient::RawClient(std::string socket_path, std::vector<std::string> greeting)
    : socket_path_(std::move(socket_path)), greeting_(std::move(greeting)) {}

RawClient::~RawClient() = default;

Reply RawClient::command(const std::vector<std::string>& arguments) {
  const std::lock_guard guard(mutex_);
  if (!context_ || connected_in_ != ::getpid()) connect();
  return exchange(arguments);
}

void RawClient::disconnect() {
  const std::lock_guard guard(mutex_);
  context_.reset();
}

void RawClient::connect() {
  context_.reset(redisConnectUnixWithTimeout(socket_path_.c_str(), answer_limit));
  if (!context_ || context_->err != 0) {
    const std::string reason = context_ ? context_->errstr : "out of memory";
    context_.reset();
    throw std::runtime_error(socket_path_ + ": " + reason);
  }
  static const redisContextFuncs functions = [&] {
    auto changed = *context_->funcs;
    changed.write = write_without_sigpipe;
    return changed;
  }();
  context_->funcs = &functions;
  connected_in_ = ::getpid();
  ::fcntl(context_->fd, F_SETFD, FD_CLOEXEC);  // hiredis leaves it open for programs that we start
  redisSetTimeout(context_.get(), answer_limit);
  if (!greeting_.empty()) exchange(greeting_);
}

Reply RawClient::exchange(const std::vector<std::string>& arguments) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const auto& argument : arguments) {
    texts.push_back(argument.data());
    sizes.push_back(argument.size());
  }
  const auto free_reply = [](void* reply) { freeReplyObject(reply); };
  const std::unique_ptr<void, decltype(free_reply)> reply(
      redisCommandArgv(context_.get(), static_cast<int>(texts.size()), texts.data(), sizes.data()), free_reply);
  if (!reply) {
    const std::string reason = context_->err != 0 ? context_->errstr : "connection closed";
    context_.reset();
    throw std::runtime_error(socket_path_ + ": " + arguments.at(0) + ": " + reason);
  }
  return to_reply(*static_cast<const redisReply*>(reply.get()));
}

}  // namespace redismutex::testing
