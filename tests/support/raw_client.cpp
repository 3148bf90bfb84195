#include "support/raw_client.hpp"

#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "support/resp_socket.hpp"

namespace redismutex::testing {
namespace {

constexpr std::chrono::seconds answer_limit{5};

Reply to_reply(net::ReplyView from) {
  Reply reply;
  if (from.is_list()) {
    reply.kind = Reply::Kind::array;
    for (const net::ReplyView element : from) reply.elements.push_back(to_reply(element));
  } else if (from.type() == net::ReplyType::integer) {
    reply.kind = Reply::Kind::integer;
    reply.integer = from.integer();
    reply.text = std::to_string(from.integer());
  } else if (from.type() != net::ReplyType::null) {
    reply.kind = from.is_error() ? Reply::Kind::error : Reply::Kind::text;
    reply.text = from.text();
  }
  return reply;
}

}  // namespace

RawClient::RawClient(std::string socket_path, std::vector<std::string> greeting)
    : socket_path_(std::move(socket_path)), greeting_(std::move(greeting)) {}

RawClient::~RawClient() = default;

Reply RawClient::command(const std::vector<std::string>& arguments) {
  const std::lock_guard guard(mutex_);
  // A sentinel has its servers close all connections after a failover.
  if (socket_ && socket_->closed()) socket_.reset();
  if (!socket_ || connected_in_ != ::getpid()) connect();
  return exchange(arguments);
}

void RawClient::disconnect() {
  const std::lock_guard guard(mutex_);
  socket_.reset();
}

void RawClient::connect() {
  socket_.reset();
  try {
    socket_ = std::make_unique<RespSocket>(RespSocket::to_unix(socket_path_));
    socket_->set_time_limit(answer_limit);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(socket_path_ + ": " + error.what());
  }
  connected_in_ = ::getpid();
  if (!greeting_.empty()) exchange(greeting_);
}

Reply RawClient::exchange(const std::vector<std::string>& arguments) {
  try {
    socket_->send(std::vector<std::string_view>(arguments.begin(), arguments.end()));
    return to_reply(*socket_->receive());
  } catch (const std::runtime_error& error) {
    socket_.reset();
    throw std::runtime_error(socket_path_ + ": " + arguments.at(0) + ": " + error.what());
  }
}

}  // namespace redismutex::testing
