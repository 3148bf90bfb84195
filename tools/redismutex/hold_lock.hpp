#pragma once

#include <functional>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <redismutex/redismutex.hpp>
#include <string>
#include <vector>

#include "hold_arguments.hpp"
#include "lease_timing.hpp"

/// What the ways to hold a lock have in common (hold_command.cpp, hold_with.cpp).
namespace redismutex::cli {

/// What ends a wait for the lock early.
struct Interruption {
  std::vector<int> descriptors;    ///< one of them is readable when it may have happened
  std::function<bool()> happened;  ///< called by one thread at a time; once true, always true
};

/// `server`: what the URL said.
Connection connection_for(const HoldArguments& arguments, ConnectionOptions server);

/// The mutex that `hold` was asked for.
RedisMutex mutex_for(const HoldArguments& arguments, Connection connection);

/// Takes the lock; none if it stays taken, which is said on stderr. Throws LockCancelled, with nothing held, if the
/// interruption happened.
std::optional<Lock> take(const Connection& connection, const RedisMutex& mutex, const HoldArguments& arguments,
                         const Interruption& interruption);

/// What is printed about a lock that is held: the line, or the JSON.
std::string announcement(const Lock& lock, const HoldArguments& arguments);

/// Writes it to stdout. False: nobody reads there any more. Throws std::system_error if it can not be written.
bool print(const std::string& announcement);

/// Gives the lock back. Returns the exit status; what went wrong is said on stderr.
int give_back(Lock& lock);

}  // namespace redismutex::cli
