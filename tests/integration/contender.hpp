#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "integration/with_server.hpp"
#include "support/channel.hpp"
#include "support/process.hpp"
#include "support/server.hpp"

namespace redismutex::testing {

/// Of the monotonic clock, which all processes of a machine share.
using Time = std::chrono::steady_clock::time_point;

inline long long ms_between(Time from, Time to) {
  return std::chrono::ceil<std::chrono::milliseconds>(to - from).count();
}

/// How many wait for a key at the server: each has a place and a life in its line, see lua/line.lua.
inline long long in_line(Server& server, const std::string& key) {
  return server.command({"ZCARD", "redismutex:{" + key + "}"}).integer / 2;
}

/// How many of them can be woken: they listen to the channel that their places name.
inline long long in_line_and_listening(Server& server, const std::string& key) {
  constexpr std::size_t id_and_digit = 37;
  long long count = 0;
  for (const Reply& member : server.command({"ZRANGE", "redismutex:{" + key + "}", "0", "-1"}).elements) {
    if (member.text.size() <= id_and_digit) continue;
    const std::string mailbox = member.text.substr(std::max(id_and_digit, member.text.rfind(' ') + 1));
    const std::string channels = mailbox.front() == 's' ? "SHARDCHANNELS" : "CHANNELS";
    count += server.command({"PUBSUB", channels, mailbox.substr(1)}).elements.size() == 1 ? 1 : 0;
  }
  return count;
}

/// The command of the server's own that deletes a key which still has a certain value, if it has one.
inline std::optional<std::string> deletion_of(Server& server) {
  for (const std::string name : {"DELIFEQ", "DELEX"}) {
    const Reply known = server.command({"COMMAND", "INFO", name});
    if (!known.elements.empty() && !known.elements.front().elements.empty()) return name;
  }
  return std::nullopt;
}

/// For who must not look by itself during a test: what it learns it was told, or had a timer for.
constexpr Options sleepy{.block_time = limit, .delay = limit - std::chrono::seconds{1}, .expiry = 2 * limit};

/// A process that wants a lock, over a connection of its own. It tells when it is inside, and leaves when it is told to:
///
///     Contenders::Event event = contenders.next();   // {"Ann", inside, when}
class Contenders {
 public:
  Contenders(const Server& server, std::string key) : Contenders{server.url(), std::move(key)} {}
  Contenders(std::string url, std::string key) : url_{std::move(url)}, key_{std::move(key)} {}

  enum class What { inside, left };
  struct Event {
    std::string who;
    What what;
    Time when;  ///< it had got in, or began to leave
  };

  class Contender {
   public:
    Contender(const Contenders& contenders, const std::string& name, const Options& options)
        : process_{[&contenders, name, options, orders = orders_]() mutable {
            const RedisMutex mutex{Connection{contenders.url_}, options};
            auto lock = mutex.acquire_lock(contenders.key_);
            contenders.tell(name, "inside");
            if (!orders->receive(2 * limit)) return 1;
            contenders.tell(name, "left");
            lock.release();
            return 0;
          }} {}

    void leave() const { orders_->send("leave"); }
    const ChildProcess& process() const noexcept { return process_; }

   private:
    std::shared_ptr<Channel> orders_ = std::make_shared<Channel>();
    ChildProcess process_;
  };

  /// Starts one.
  Contender enter(const std::string& name, const Options& options = patient) const { return {*this, name, options}; }

  /// What happens next.
  Event next() {
    const auto line = events_.receive(limit);
    if (!line) throw std::runtime_error("no contender tells anything");
    std::istringstream words{*line};
    std::string who, what;
    Time::rep when = 0;
    words >> who >> what >> when;
    return {who, what == "inside" ? What::inside : What::left, Time{Time::duration{when}}};
  }

  /// Waits for somebody to be inside; returns who, and when that was.
  Event next_inside() {
    for (;;) {
      Event event = next();
      if (event.what == What::inside) return event;
    }
  }

 private:
  void tell(const std::string& name, const std::string& what) const {
    events_.send(name + ' ' + what + ' ' + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()));
  }

  const std::string url_;
  const std::string key_;
  Channel events_;
};

}  // namespace redismutex::testing
