#pragma once

#include <redismutex/inspection.hpp>
#include <string>

#include "describe.hpp"

/// Who holds and who waits, in words.
namespace redismutex::cli {

/// "web3 pid 812"; "?" for a process that the server does not tell of.
std::string process_text(const std::optional<Client>& client);

/// What the holder does: the label's words, else the program's name; may be empty.
std::string purpose_of(const Inspection& seen);

/// Whether a process is connected. None: unknown, as at a replica, to which neither holder nor waiters need to be connected.
std::optional<bool> is_connected(std::optional<bool> there, const NamedServer& server);

/// In a sentence, behind "held by": "web3 pid 812 (run/report)", "a process that is gone".
std::string holder_text(const Inspection& seen, const NamedServer& server);

/// In a table: "web3:812 run/report", "(gone)", "(not found)", "(hidden)" without the right to see it, "(see primary)" at a replica,
/// "(foreign)", "-" for a free lock.
std::string short_holder_text(const Inspection& seen, const NamedServer& server);

/// What comes of a waiter: "connected", "gone: passed over at the next hand-over".
std::string state_text(const Waiter& waiter, const NamedServer& server);

/// Whether something stands at the key that nothing takes away by itself.
bool never_ends(const Inspection& seen);

/// Since when it is held, by the server's clock or the holder's own.
struct Since {
  WallTime moment;
  bool exact = false;  ///< if not, it was asked for then: it is held since later
};

/// None for a lock that does not tell.
std::optional<Since> held_since(const Inspection& seen);

/// The fencing token of the present holder, if that is known.
std::optional<std::uint64_t> token_of(const Inspection& seen);

}  // namespace redismutex::cli
