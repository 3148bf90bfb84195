#pragma once

#include <redismutex/connection_options.hpp>
#include <stop_token>
#include <string_view>
#include <variant>

#include "net/failure.hpp"
#include "net/greeting.hpp"
#include "net/link.hpp"
#include "net/poll.hpp"

namespace redismutex::net {

/// Introduces us to the server: protocol version 3, credentials, database; all in one round trip, or two where the
/// first was refused and it takes another question to know why.
std::variant<Greeting, Failure> log_in(Link& link, const ConnectionOptions& options, Deadline deadline,
                                       const std::stop_token& stop);

/// Tells the server the name of the connection, and of the library, for the administrator's CLIENT LIST. Nobody has to wait for
/// that, and it needs no right but those for HELLO and, where the server knows libraries, CLIENT SETINFO.
void tell_names(Link& link, const Greeting& greeting, std::string_view name);

}  // namespace redismutex::net
