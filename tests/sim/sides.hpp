#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "memory/host.hpp"
#include "memory/lua_host.hpp"
#include "memory/process.hpp"
#include "memory/server.hpp"
#include "memory/value.hpp"
#include "net/command.hpp"
#include "net/reply.hpp"
#include "net/resp.hpp"
#include "net/stream.hpp"
#include "sim/effect.hpp"
#include "support/resp_socket.hpp"
#include "support/server.hpp"

// Servers to compare: a real one, and ours.
namespace redismutex::sim {

using memory::LuaHost;
using memory::Server;
using Command = std::vector<std::string>;

// ---- the real one ---------------------------------------------------------------------------------------------------

inline Value from(net::ReplyView reply) {
  using net::ReplyType;
  std::vector<Value> elements;
  for (const net::ReplyView element : reply) elements.push_back(from(element));
  std::string text{reply.text()};
  switch (reply.type()) {
    case ReplyType::integer: return Value::number(reply.integer());
    case ReplyType::bulk_string: return Value::bulk(std::move(text));
    case ReplyType::simple_string: return Value::status(std::move(text));
    case ReplyType::error: return Value::error(std::move(text));
    case ReplyType::array: return Value::array(std::move(elements));
    case ReplyType::real: return Value::real(std::move(text));
    case ReplyType::push: return Value::push(std::move(elements));
    default: return Value::nil();
  }
}

/// A server to compare, with some connections.
class Side {
 public:
  static constexpr int connections = 3;

  Side() = default;
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;
  virtual ~Side() = default;
  virtual Effect ask(int connection, const std::vector<Command>& commands, bool caching) = 0;
};

/// One that is reached through sockets, or what stands in for them: with send() and receive() as of testing::RespSocket.
template <class Socket>
class Client {
 public:
  explicit Client(Socket socket) : socket_{std::move(socket)} { commands({{"HELLO", "3"}}); }

  /// The PING behind them marks the end of what they lead to on this connection. `caching` is for the one command that
  /// follows, so it goes right ahead of it.
  std::vector<Value> commands(const std::vector<Command>& commands, bool caching = false) {
    if (caching) send({"CLIENT", "CACHING", "YES"});
    for (const Command& command : commands) send(command);
    send({"PING"});
    std::vector<Value> replies;
    for (Value next = read(); next.text != "PONG"; next = read()) replies.push_back(std::move(next));
    return replies;
  }

  std::vector<Value> take_pushes() {
    send({"PING"});
    read();
    return std::exchange(pushes_, {});
  }

 private:
  void send(const Command& command) { socket_.send(std::vector<std::string_view>(command.begin(), command.end())); }

  /// The next reply; keeps the pushes that come before it.
  Value read() {
    for (;;) {
      Value value = from(*socket_.receive());
      if (value.kind != Value::Kind::push) return value;
      pushes_.push_back(std::move(value));
    }
  }

  Socket socket_;
  std::vector<Value> pushes_;
};

template <class Socket>
class Reached : public Side {
 public:
  Effect ask(int connection, const std::vector<Command>& commands, bool caching) override {
    Effect effect{.replies = clients_[static_cast<std::size_t>(connection)]->commands(commands, caching), .pushes = {}};
    for (int i = 0; i < connections; ++i) effect.pushes[i] = clients_[static_cast<std::size_t>(i)]->take_pushes();
    return effect;
  }

 protected:
  void add(Socket socket) { clients_.push_back(std::make_unique<Client<Socket>>(std::move(socket))); }

 private:
  std::vector<std::unique_ptr<Client<Socket>>> clients_;
};

class Real final : public Reached<testing::RespSocket> {
 public:
  Real() {
    // Keys expire when they are looked at, not when the server finds the time.
    server_.command({"DEBUG", "SET-ACTIVE-EXPIRE", "0"});
    for (int i = 0; i < connections; ++i) add(testing::RespSocket::to_unix(server_.socket_path()));
  }

  /// How it differs from others.
  Server::Conduct conduct() {
    const testing::Version version = server_.version();
    using Deletion = Server::Conduct::Deletion;
    const bool valkey = server_.product() == "valkey";
    return {.before_7_2 = version < testing::Version{7, 2, 0},
            .before_7_0 = version < testing::Version{7, 0, 0},
            .deletion = valkey && version >= testing::Version{9, 0, 0}    ? Deletion::delifeq
                        : !valkey && version >= testing::Version{8, 4, 0} ? Deletion::delex
                                                                          : Deletion::none};
  }

 private:
  testing::Server server_{{.directives = {"enable-debug-command yes"}}};
};

// ---- ours -----------------------------------------------------------------------------------------------------------

class Simulated final : public Side {
 public:
  explicit Simulated(Server::Conduct conduct)
      : server_{
            lua_,
            conduct,
            {.now_us = [this] { return now_us_; },
             .deliver = [this](Server::Connection connection, Value value) { note(connection, std::move(value)); }}} {
    for (int i = 0; i < connections; ++i) server_.connect();
  }

  Effect ask(int connection, const std::vector<Command>& commands, bool caching) override {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    now_us_ = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
    effect_ = {};
    for (int i = 0; i < connections; ++i) effect_.pushes[i];
    if (caching) server_.execute(connection + 1, {"CLIENT", "CACHING", "YES"});
    for (const Command& command : commands) server_.execute(connection + 1, command);
    return effect_;
  }

 private:
  void note(Server::Connection connection, Value value) {
    if (value.kind == Value::Kind::push) {
      effect_.pushes[connection - 1].push_back(std::move(value));
    } else {
      effect_.replies.push_back(std::move(value));
    }
  }

  LuaHost lua_;
  std::int64_t now_us_ = 0;
  Effect effect_;
  Server server_;
};

/// A connection that a memory: URL makes.
class MemorySocket {
 public:
  explicit MemorySocket(std::unique_ptr<net::Stream> stream) : stream_{std::move(stream)} {}

  void send(const std::vector<std::string_view>& arguments) {
    std::string bytes;
    net::append_command(bytes, arguments);
    stream_->write_now(bytes);
  }

  net::Reply receive() {
    for (;;) {
      if (const auto reply = resp_->next()) return net::Reply{*reply};
      std::array<char, 4096> buffer{};
      const auto got = stream_->read_now(buffer);
      if (got.status != net::Stream::Status::ok) throw std::runtime_error{"no answer: " + got.why};
      resp_->feed({buffer.data(), got.bytes});
    }
  }

 private:
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<net::Resp> resp_ = std::make_unique<net::Resp>();
};

class InMemory final : public Reached<MemorySocket> {
 public:
  explicit InMemory(Server::Conduct conduct) : host_{process().make_host(process().unused_name(), conduct)} {
    for (int i = 0; i < connections; ++i) {
      auto connected = host_->connect();
      add(MemorySocket{std::move(std::get<std::unique_ptr<net::Stream>>(connected))});
    }
  }
  ~InMemory() override { process().remove(*host_); }

 private:
  static memory::Process& process() { return memory::Process::current(); }

  std::shared_ptr<memory::Host> host_;
};

}  // namespace redismutex::sim
