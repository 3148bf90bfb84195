#pragma once

#include <redismutex/config.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// A moment as people read it. Those that come from a server are by its clock.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

/// A process that the server is connected to, as CLIENT LIST shows it. Texts are as the server has them: show them with
/// printable().
struct Client {
  std::string host;  ///< the name of its machine
  std::int64_t pid = 0;
  std::string purpose;  ///< the program's name
  std::string address;  ///< as the server sees it
  std::string user;     ///< of the server's ACL
};

/// What the holder of a lock has written beside it for people to read.
struct Label {
  std::string text;                      ///< in the holder's own words; may be empty
  WallTime since;                        ///< when it got the lock
  std::chrono::milliseconds expiry{0};   ///< the length of its lease
  std::optional<std::uint64_t> token{};  ///< its fencing token, when the label was written
  bool left = false;                     ///< by Lock::leave(): no process is to stand behind it
};

/// One place in the line for a lock.
struct Waiter {
  std::size_t position = 0;  ///< counted from 1, the dead included
  std::string id;            ///< as stands at the key once the lock is its own
  std::string details;       ///< what else its place says: docs/protocol.md, "The line"
  std::string tag;           ///< of its Connection, as in Inspection::tag
  std::optional<WallTime>
      asked_at{};            ///< when it began to want the lock, by its own clock; none if its id does not tell
  WallTime waiting_since;    ///< when it lined up
  bool alive = false;        ///< it has asked lately; if not, it is passed over
  bool wants_token = false;  ///< a fencing token

  /// Whether it can be woken: somebody listens to the channel that its place names. A waiter that is alive and can not be woken
  /// is passed over. None: it looks by itself, or the right to ask is missing.
  std::optional<bool> connected{};

  std::optional<Client> client{};  ///< if the server tells
};

/// What stands on the server for one key, at one moment.
struct Inspection {
  enum class State {
    free,        ///< there is no such key
    held,        ///< by a program that uses this library
    foreign,     ///< a string that is no id of this library's: another program's lock, or no lock at all
    not_a_lock,  ///< something else than a string
  };

  std::string key;
  State state = State::free;
  std::string type;            ///< of what is stored at the key, as the server names it: "string", "list"; "none"
  std::string value;           ///< of a string: the first 128 bytes
  std::size_t value_size = 0;  ///< of a string: all bytes

  /// Of a lock that is held: ten hexadecimal digits, which stand in the name of the holder's connections too.
  std::string tag;
  std::optional<WallTime> asked_at{};  ///< when its holder began to want it, by the holder's own clock
  std::optional<Label> label{};        ///< of the present holder only
  std::optional<Client> client{};      ///< the holder, if the server tells

  /// Whether the holder is connected to the server. None: unknown. A process that had to connect anew is found with
  /// InspectOptions::deep only.
  std::optional<bool> connected{};

  /// Until the server frees the key. None: it is free already, or it never ends by itself.
  std::optional<std::chrono::milliseconds> lease_left{};

  /// The highest fencing token that the server has to remember, if there is one.
  std::optional<std::uint64_t> floor{};

  std::size_t waiting = 0;        ///< how many wait and are alive
  std::size_t places = 0;         ///< how many places the line has, those of the dead included
  std::vector<Waiter> waiters{};  ///< those that were asked for, in their order
  std::size_t unreadable = 0;     ///< places among those asked for that say nothing: they are passed over
  bool line_is_broken = false;    ///< something else stands where the line should: it is dropped when somebody waits

  WallTime seen_at;  ///< by the server's clock

  /// What was left out because the user lacks a right: "+client|list", "+info", "+pubsub|numsub".
  std::vector<std::string> missing_rights{};
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
