#pragma once

#include <optional>
#include <redismutex/connection_options.hpp>
#include <stop_token>

#include "net/failure.hpp"
#include "net/link.hpp"
#include "net/poll.hpp"

namespace redismutex::net {

/// How many replies a login takes: what comes after is an answer to a caller.
std::uint64_t login_replies(const ConnectionOptions& options);

/// Introduces us to the server: protocol version 3, credentials, names, database; all in one round trip.
/// Nothing when it went well.
std::optional<Failure> log_in(Link& link, const ConnectionOptions& options, Deadline deadline,
                              const std::stop_token& stop);

}  // namespace redismutex::net
