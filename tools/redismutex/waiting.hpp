#pragma once

#include <chrono>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>

/// What `run` and `hold` have in common in waiting for a lock.
namespace redismutex::cli {

/// How long to wait. Nothing: for ever; 0: one attempt.
using Wait = std::optional<std::chrono::milliseconds>;

/// None if the lock is still taken after the wait. Throws as RedisMutex::try_acquire_lock_for() does.
std::optional<Lock> wait_for_lock(const RedisMutex& mutex, const std::string& key, Wait wait,
                                  const std::stop_token& stop);

/// Says that the lock is taken: by whom and since when, if the server tells, and how to break it.
std::string taken_text(const Connection& connection, const std::string& key, Wait wait);

}  // namespace redismutex::cli
