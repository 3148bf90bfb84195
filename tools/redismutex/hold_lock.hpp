#pragma once

#include <redismutex/connection_options.hpp>
#include <redismutex/redismutex.hpp>
#include <string>
#include <vector>

#include "acquirer.hpp"
#include "hold_arguments.hpp"
#include "interruption.hpp"

/// What the ways to hold a lock have in common (hold_command.cpp, hold_with.cpp).
namespace redismutex::cli {

/// Takes the lock that `hold` was asked for. `arguments` must outlive it. `servers`: what the URLs said.
Acquirer acquirer_for(const HoldArguments& arguments, std::vector<ConnectionOptions> servers,
                      Interruption interruption);

/// What is printed about a lock that is held: the line, or the JSON.
std::string announcement(const Lock& lock, const HoldArguments& arguments);

/// Writes it to stdout. False: nobody reads there any more. Throws std::system_error if it can not be written.
bool print(const std::string& announcement);

/// Gives the lock back. Returns the exit status; what went wrong is said on stderr.
int give_back(Lock& lock);

}  // namespace redismutex::cli
