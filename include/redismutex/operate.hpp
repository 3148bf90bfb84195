#pragma once

/// For operators' tools: looking at locks from outside, and breaking them. Not a part of redismutex.hpp, because programs that use
/// locks need none of it.

#include <redismutex/config.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <redismutex/connection.hpp>
#include <redismutex/connection_options.hpp>
#include <redismutex/errors.hpp>
#include <redismutex/inspection.hpp>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// All functions here throw std::invalid_argument for a key that RedisMutex would not take, before anything is sent;
/// ConnectionError when the server can not be reached or gives no answer in time (LoginError when it refuses the credentials);
/// ServerError when it refuses, for instance because the user lacks a right that can not be done without. They are thread-safe, and
/// need other rights than locks do: see docs/operate.md.

struct InspectOptions {
  std::size_t waiters = 20;  ///< of how many waiters to tell; at most 100
  std::size_t offset = 0;    ///< how many places to pass over before that
  bool clients = true;       ///< find out which processes hold and wait: a round trip more

  /// Look through all connections of the server for processes that had to connect anew, and on Redis 6.0 for any. Costs the server
  /// about 10 ms for 1,000 connections, during which it does nothing else; not done above 2,000.
  bool deep = false;
};

/// What stands at a key, seen at one moment. Changes nothing. Throws std::invalid_argument for options beyond their bounds, too.
REDISMUTEX_EXPORT Inspection inspect(const Connection& connection, std::string_view key,
                                     const InspectOptions& options = {});

/// The same for many keys, in their order. Those that are asked for in one command (64 places and 32 keys at the most) are seen at one
/// moment, all of them are not.
REDISMUTEX_EXPORT std::vector<Inspection> inspect(const Connection& connection, std::span<const std::string> keys,
                                                  const InspectOptions& options = {});

/// How far a scan() is.
struct ScanProgress {
  std::size_t scanned = 0;  ///< keys, about
  std::optional<std::size_t>
      total{};            ///< keys in the database when the scan began; none if the right is missing (+dbsize)
  std::size_t found = 0;  ///< locks
  bool complete = false;  ///< whether all was looked at
};

struct ScanOptions {
  /// Which keys to look at, as in the server's command KEYS: `import:*`. Empty: those that have something beside them, which are
  /// the locks that somebody waits for, and those with a label.
  std::string pattern{};

  /// Without a pattern: look at every key.
  bool all = false;

  /// Keys in one step of the server, at the most; at most 1,000. There are fewer, but not below 100, where the server needs longer than
  /// 0.4 ms for a step, in which it does nothing else.
  std::size_t count = 1'000;
  double duty = 0.25;  ///< the share of the time in which the server may work for this; the rest is slept
  InspectOptions inspect{.waiters = 1, .clients = false};  ///< what is found out about each lock

  /// Called after each step.
  std::function<void(const ScanProgress&)> progress{};

  std::stop_token stop{};  ///< ends the scan
};

/// Goes through the server's database and calls `found` for each lock, once. Ends when that returns false, or when `stop` fires.
///
/// With a pattern, or all, it finds the keys whose value is a UUID, as the ids of this library and of many others are
/// (Inspection::state tells which), and all keys that somebody waits for. It works through the whole database in any case: some
/// 0.8 µs of the server's time for each key, whatever the pattern. What comes and goes meanwhile may be missed. Throws
/// std::invalid_argument for options beyond their bounds, and what `found` and `progress` throw.
REDISMUTEX_EXPORT ScanProgress scan(const Connection& connection, const ScanOptions& options,
                                    const std::function<bool(const Inspection&)>& found);

enum class Broken {
  broken,         ///< it was taken from that owner, and given to the next in line if there is one
  changed_hands,  ///< somebody else holds it: nothing was done
  free,           ///< nobody holds it: nothing was done, but that the next in line got it if there is one
};

/// Takes the lock from the owner with this id, and from no other, in one atomic step. The next in line is inside at once; the
/// old holder notices at once if it is connected (Lock::lost_token()), else at its next renewal: until then two may be inside.
///
/// An answer that is lost is asked for again: `broken` then also means that the owner gave the lock back in that moment. Throws
/// std::invalid_argument for an `id` that is no UUID, as the owners' ids are.
REDISMUTEX_EXPORT Broken break_lock(const Connection& connection, std::string_view key, std::string_view id);

/// Takes a place out of the line: `waiter` is of an Inspection of that key. One that is alive lines up again, at the end, when it looks
/// next. Returns whether it had got the lock meanwhile: then the lock was taken from it, as by break_lock().
REDISMUTEX_EXPORT bool break_waiter(const Connection& connection, std::string_view key, const Waiter& waiter);

/// The servers of a cluster that have its slots, and so its locks, as one of them names them at present. Empty where the Connection does not
/// lead to a cluster. Needs the right +cluster|slots. To look at each alone, connect to it as to a single server.
REDISMUTEX_EXPORT std::vector<ServerAddress> cluster_masters(const Connection& connection);

/// What the server says of itself: the fields of its command INFO, by their names, as `role` and `connected_clients`. `section`: one of
/// INFO's, as "replication"; empty: those that it tells of unasked. Needs the right +info. In a cluster any server is asked.
REDISMUTEX_EXPORT std::map<std::string, std::string> server_info(const Connection& connection,
                                                                 std::string_view section = {});

/// What a server said to a question about itself.
struct ServerAnswer {
  std::string text{};  ///< of a text; of a number, its digits; of a refusal, what the server said: "NOPERM …"
  std::vector<std::string> list{};  ///< of a list; of a map, each key and then its value
  bool refused = false;             ///< the server does not answer this, or not to this user

  /// From the request to the answer. With the time to connect, where there was no connection.
  std::chrono::nanoseconds round_trip{0};
};

/// Asks the server about itself, one of these, in capitals and with what the server wants behind them: `PING`, `TIME`, `DBSIZE`,
/// `CONFIG GET`, `CLIENT ID`, `CLUSTER INFO`, `PUBSUB NUMPAT`, `ACL WHOAMI`, `ACL DRYRUN`. They change nothing, and take the server no
/// longer than other commands. In a cluster any server is asked. Throws std::invalid_argument for another question, and one of more than 64 words or 4096 bytes.
REDISMUTEX_EXPORT ServerAnswer ask(const Connection& connection, std::span<const std::string> question);

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
