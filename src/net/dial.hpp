#pragma once

#include <memory>
#include <redismutex/connection_options.hpp>
#include <stop_token>
#include <variant>

#include "net/failure.hpp"
#include "net/poll.hpp"
#include "net/stream.hpp"

namespace redismutex::net {

/// Opens a socket to the server, tries all addresses of its host, and shakes hands if it is to be TLS.
/// Interruptible at any time, but for the look-up of the host's name.
std::variant<std::unique_ptr<Stream>, Failure> dial(const ConnectionOptions& options, Deadline deadline,
                                                    const std::stop_token& stop);

}  // namespace redismutex::net
