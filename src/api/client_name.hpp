#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/owner_id.hpp"

namespace redismutex::api {

/// What an administrator's CLIENT LIST shows of a connection: who it is that holds a lock, or waits for it.
struct ClientName {
  std::string_view lead;  ///< "redismutex", or what ConnectionOptions::client_name says
  protocol::Tag tag;      ///< as in the ids of this Connection's locks
  std::string_view host;
  std::int64_t pid = 0;
  std::string_view purpose;  ///< the program's name
};

/// "redismutex:TAG:HOST:PID:PURPOSE", 128 bytes at most. Servers take printable ASCII without blanks only: anything else becomes
/// '_', and so does a ':' in HOST and PURPOSE. What is too long is cut, but never the tag or the pid.
std::string text_of(const ClientName& name);

/// The name of this process's connections; `chosen`: see ConnectionOptions::client_name.
std::string client_name(const std::string& chosen, protocol::Tag tag);

}  // namespace redismutex::api
