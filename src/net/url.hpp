#pragma once

#include <redismutex/connection_options.hpp>
#include <string>

namespace redismutex::net {

/// Throws std::invalid_argument, naming field, value and bound, for options that can not work.
void validate(const ConnectionOptions& options);

/// host:port.
std::string display_name(const ServerAddress& address);

}  // namespace redismutex::net
