#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "memory/arguments.hpp"
#include "memory/server.hpp"

// Messages: plain channels, and sharded ones, which on a server without a cluster are as many again.
namespace redismutex::memory {

std::size_t Server::receivers(bool sharded, const std::string& channel) const {
  return static_cast<std::size_t>(std::count_if(
      clients_.begin(), clients_.end(), [&](const auto& client) { return client.second.listens(sharded, channel); }));
}

void Server::deliver_message(const Message& message) {
  for (const auto& [connection, client] : clients_) {
    if (!client.listens(message.sharded, message.channel)) continue;
    Value sent = Value::push({Value::bulk(message.sharded ? "smessage" : "message"), Value::bulk(message.channel),
                              Value::bulk(message.text)});
    if (connection == caller_ && conduct_.before_7_2) {
      before_reply_.push_back(std::move(sent));
    } else {
      push(connection, std::move(sent));
    }
  }
}

void Server::relay(const Message& message) { deliver_message(message); }

Value Server::send_message(bool sharded, const Arguments& arguments) {
  if (conduct_.refuses_channels || conduct_.refuses_publishing) {
    return Value::error("NOPERM No permissions to access a channel");
  }
  const Message message{sharded, arguments[1], arguments[2]};
  surroundings_.on_publish(message);
  const std::size_t reached = receivers(sharded, message.channel);
  deliver_message(message);
  return Value::number(static_cast<std::int64_t>(reached));
}

Value Server::publish(const Arguments& arguments) { return send_message(false, arguments); }

Value Server::spublish(const Arguments& arguments) { return send_message(true, arguments); }

Value Server::pubsub(const Arguments& arguments) {
  const std::string what = upper(arguments[1]);
  const bool sharded = what == "SHARDNUMSUB";
  if (sharded && conduct_.before_7_0) return Value::error("ERR unknown subcommand or wrong number of arguments");
  if (what != "NUMSUB" && !sharded) return complain("ERR unknown subcommand or wrong number of arguments for 'pubsub'");
  if (conduct_.refuses_counting) return Value::error("NOPERM User has no permissions to run this command");
  Value counts = Value::array({});
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    counts.elements.push_back(Value::bulk(arguments[i]));
    counts.elements.push_back(Value::number(static_cast<std::int64_t>(receivers(sharded, arguments[i]))));
  }
  return counts;
}

Value Server::listen(bool sharded, const Arguments& arguments) {
  if (conduct_.refuses_channels) return Value::error("NOPERM No permissions to access a channel");
  Client& client = clients_[caller_];
  auto& channels = sharded ? client.sharded_channels : client.channels;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    channels.insert(arguments[i]);
    after_reply_.push_back(Value::push({Value::bulk(sharded ? "ssubscribe" : "subscribe"), Value::bulk(arguments[i]),
                                        Value::number(static_cast<std::int64_t>(channels.size()))}));
  }
  no_reply_ = true;
  return Value::nil();
}

Value Server::subscribe(const Arguments& arguments) { return listen(false, arguments); }

Value Server::ssubscribe(const Arguments& arguments) { return listen(true, arguments); }

}  // namespace redismutex::memory
