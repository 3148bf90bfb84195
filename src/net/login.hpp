#pragma once

#include <redismutex/connection_options.hpp>
#include <stop_token>
#include <variant>

#include "net/failure.hpp"
#include "net/greeting.hpp"
#include "net/link.hpp"
#include "net/poll.hpp"

namespace redismutex::net {

/// Introduces us to the server: protocol version 3, credentials, names, database; all in one round trip, or two where the
/// first was refused and it takes another question to know why.
std::variant<Greeting, Failure> log_in(Link& link, const ConnectionOptions& options, Deadline deadline,
                                       const std::stop_token& stop);

}  // namespace redismutex::net
