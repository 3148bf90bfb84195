#pragma once

#include <cstdint>

namespace redismutex::protocol {

/// Whether a lock comes with a fencing token.
enum class Fencing { without_token, with_token };

/// So many tokens above the one that was minted are the owner's too, for threads among whom it passes the lock on: the server
/// mints none of them. RESERVE in lua/queue.lua.
constexpr std::uint64_t reserved_tokens = 63;

/// As many more are reserved with an extension, for a lock that is passed on quickly. Less than the microseconds between two of
/// these extensions, so that tokens do not run ahead of the server's clock.
constexpr std::uint64_t reserved_in_passing = 512;

}  // namespace redismutex::protocol
