#pragma once

#include <string>
#include <string_view>

namespace redismutex::sim {

/// Mistakes that the simulator must find. Some change the shipped scripts, the others what drives the state machines.
enum class Mutant {
  none,
  lease_from_reply,    ///< a lease counted from when the answer was read
  grant_from_arrival,  ///< one that was handed over, counted from when the message was read
  release_without_comparing,
  no_refresh,           ///< waiters look at the server only when they are told
  ignores_liveness,     ///< a lock is handed to waiters not heard of for long
  ignores_receivers,    ///< a lock is handed to waiters whose connection is gone
  enqueues_every_time,  ///< a repeated request takes another place in the queue
  cancel_keeps_grant,   ///< whoever gives up waiting does not give back what it was just handed
  last_in_first_out,
  extend_without_comparing,
  never_cleans_up,      ///< whoever gives up waiting says nothing
  subscribes_late,      ///< a waiter has itself woken only once it has its place
  never_extends_claim,  ///< whoever was handed a lock does not ask for the full lease
};

const char* name(Mutant mutant);

/// Throws std::invalid_argument for a name that none has.
Mutant mutant_named(std::string_view name);

/// The script, with the mistake if it is one of scripts. Throws std::logic_error if the place for it is not found.
std::string rewritten(const std::string& script, Mutant mutant);

/// release.lua for those who give up, as `cancel_keeps_grant` has it.
std::string cancel_without_release();

}  // namespace redismutex::sim
