#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace redismutex::sim {

/// Mistakes that the simulator must find. These are in the scripts; those of the engine are built: see mutants.cmake.
enum class Mutant {
  none,

  // Leases:
  renewal_may_shorten,  ///< a renewal that arrives late sets back what was extended since
  release_without_comparing,
  extend_without_comparing,
  hands_over_full_lease,  ///< whoever is handed a lock, and never comes, blocks it for all of its lease
  tells_no_loss,          ///< whoever watches its lock does so until its own write ends the tracking

  // The line:
  ignores_liveness,   ///< a lock is handed to waiters not heard of for long
  ignores_receivers,  ///< a lock is handed to waiters whose connection is gone
  ignores_limit,      ///< any number may wait
  counts_the_dead,    ///< the dead count as waiters
  last_in_first_out,
  enqueues_every_time,    ///< a repeated request takes another place in line
  needs_memory_first,     ///< a hand-over begins with what a server without memory refuses
  cancel_keeps_grant,     ///< whoever gives up waiting does not give back what it was just handed
  tells_before_a_write,   ///< a waiter is told that it has the lock, and then the server refuses to write that down
  tells_without_asking,   ///< whether a waiter was reached is known only from what the message was answered
  tells_no_first,         ///< the new first in line is not told
  never_puts_back,        ///< a waiter to whom no message may be sent has lost its place
  leaves_the_life,        ///< of whoever is served
  leaves_the_place,       ///< of whoever gives up waiting
  leaves_the_dead,        ///< in line
  leaves_the_old_place,   ///< of a waiter whose mailbox changed
  moves_to_the_end,       ///< whoever's mailbox changed
  keeps_many_absent,      ///< all of those that can not be reached
  frees_instead_of_more,  ///< a lock whose line begins with many dead
  renews_no_place,        ///< a waiter that asks again does not count as alive for longer
  refreshes_nothing,      ///< the same of those who are renewed together
  keeps_wrong_types,      ///< something else than a line stays in its place
  drops_newer_versions,   ///< places
  line_stays_for_ever,
  hands_over_for_ever,  ///< the key has no TTL

  // Tokens:
  tokens_by_increment,       ///< not by the clock: they fall when the server forgets
  tokens_by_clock,           ///< by nothing else: they fall when it is set back
  forgets_the_givers_token,  ///< of who hands the lock over
  forgets_the_heirs_floor,   ///< if the next owner wants no token
  forgets_tokens_ahead,      ///< one that is ahead of the clock
  floor_goes_at_once,        ///< the floor is not kept for a while
  floor_stays_for_ever,
};

const char* name(Mutant mutant);

/// All but `none`.
std::vector<Mutant> mutants();

/// Throws std::invalid_argument for a name that none has.
Mutant mutant_named(std::string_view name);

/// The script, with the mistake if it is one of scripts. Throws std::logic_error if the place for it is not found.
std::string rewritten(const std::string& script, Mutant mutant);

}  // namespace redismutex::sim
