#pragma once

#include <memory>
#include <string>

#include "locker.hpp"

namespace redismutex::bench {

/// By name:
///   ours...      this library, see make_ours(), with a connection of its own
///   quorum       this library at several servers, whose URLs stand in `url` with spaces between them; waits for a minute
///   floor        what no library can go below: the two bare commands in the calling thread, one send() and one recv() each,
///                with a ready-made id: SET key id NX PX 7000, and the release script by its digest
///   seed         py-redismutex's algorithm: SET key id NX EX 7 every 0.5 s; GET, then DEL
std::unique_ptr<Locker> make_locker(const std::string& name, const std::string& url);

/// For the threads of one process: so many over each of so many connections, if they are ours; others have a connection
/// each.
Lockers make_lockers(const std::string& name, const std::string& url, int connections, int threads);

}  // namespace redismutex::bench
