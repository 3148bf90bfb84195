#pragma once

#include <string_view>

namespace redismutex::protocol {

/// What a server's refusal of a command means for its sender.
///
/// A command that is refused with anything but `tell` was not carried out: the server says so before it
/// begins. For `repeat` and `leave` that holds for our scripts too: a server that takes no writes refuses the first one
/// of a run, and nothing takes effect, nor is anybody told anything, before that one. So the same request, with the same
/// id, may be sent again, here or to another server.
enum class Verdict {
  repeat,  ///< not now: send it again, after a pause
  moved,   ///< the key's slot of the cluster is at another server, which the refusal names: send it there
  ask,     ///< this once: the slot is about to move there
  split,  ///< some of its keys are here still and some have moved, or there are none: ask for one key at a time, or later
  leave,      ///< not here: this server is, or has just become, one that takes no locks; look its name up anew
  forbidden,  ///< never: the user lacks the right, or the server lacks the command
  tell,       ///< all else: the caller has to know, because waiting may mend nothing
};

/// `error`: the text of the answer, as the server sent it, from within a script or a transaction too.
Verdict verdict(std::string_view error);

/// Whether what it was said of may be one of the command's keys, and not the server: then the others are to be asked for without it.
constexpr bool may_concern_one_key(Verdict verdict) noexcept { return verdict == Verdict::forbidden; }

/// The word that names the kind of error, such as OOM: the first one of what was refused, also where a server wraps that
/// in the story of a script. NOPERM where a script lacks a right, for which servers have other words. ERR where a script
/// failed for a reason that has no name. A part of `error`, or a constant.
std::string_view error_code(std::string_view error);

}  // namespace redismutex::protocol
