#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "memory/keyspace.hpp"

namespace redismutex::sim {

using memory::Keyspace;
using memory::SortedSet;

/// One who waits, as lua/line.lua describes it.
struct Waiter {
  struct Place {
    std::int64_t ticket;
    std::string details;

    /// "" for a place that this version does not know.
    std::string mailbox() const;
  };
  std::vector<Place> places;                     ///< by their tickets; mostly one
  std::optional<std::int64_t> alive_until = {};  ///< in the server's µs

  /// Half a waiter is none.
  bool is_in_line() const { return !places.empty() && alive_until; }
  std::int64_t ticket() const { return places.front().ticket; }
  bool is_alive(std::int64_t now_us) const { return alive_until && *alive_until >= now_us; }

  bool is_newer() const;
  bool wants_to_know_when_first() const;
};

/// By id. What is no member of a line is left out.
using Line = std::map<std::string, Waiter>;

Line read_line(const Keyspace::Entry* entry);

/// What a command did to a lock and its line.
struct Change {
  const std::vector<std::string>& command;
  std::int64_t now_us;              ///< the server's time
  const std::string& former_owner;  ///< "" for none
  const std::string& owner;
  std::function<bool(const Waiter&)> reaches;  ///< whether somebody listens
  bool sends_messages;                         ///< or the server refuses them
};

/// What no script should do to a line, whoever waits in it.
std::vector<std::string> mistakes(const Line& before, const Line& after, const Change& change);

}  // namespace redismutex::sim
