#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/reply.hpp"

/// What sentinels are asked, and what their answers mean. Pure.
namespace redismutex::net::sentinel {

/// The commands, for the master of that name, which stays where it is. A user who may use only the second is told enough.
/// Source: the Redis documentation, "High availability with Redis Sentinel", "Sentinel commands".
constexpr std::size_t question_count = 3;
using Questions = std::array<std::array<std::string_view, 3>, question_count>;
Questions questions(std::string_view master);

/// In addition: the master's replicas, also those that are down.
std::array<std::string_view, 3> question_for_replicas(std::string_view master);

/// How many that are; none: the sentinel does not tell.
std::optional<std::int64_t> count_replicas(ReplyView reply);

/// What one sentinel has said.
struct Answer {
  std::optional<ServerAddress> master;        ///< none: it does not know the name, or does not tell
  std::int64_t epoch = -1;                    ///< rises with each failover; -1: it does not tell
  std::vector<ServerAddress> others;          ///< sentinels of the same master
  std::optional<std::int64_t> replicas = {};  ///< if that was asked
  std::string refusal;                        ///< why there is no master; for people
  bool knows_no_such_name = false;
};

/// From the answers to the questions, in their order.
Answer read(std::span<const ReplyView, question_count> replies);

/// Whom to believe: the highest epoch, because one sentinel learns of a failover up to two seconds after another, and one that was
/// restarted may tell what is long past. Among equals, what most say. Null: nobody names a master.
const Answer* choose(std::span<const Answer> answers);

}  // namespace redismutex::net::sentinel
