#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "protocol/owner_id.hpp"
#include "route/environment.hpp"

namespace redismutex::route {

/// Bits that no other process, thread or child has, from the operating system's generator. Throws std::system_error if that
/// has nothing to give.
std::uint64_t random_bits();

/// So many random digits and letters of both cases.
std::string random_word(Environment& environment, std::size_t size);

/// An id for one acquisition, of this moment.
protocol::OwnerId new_owner_id(Environment& environment, protocol::Tag tag);

}  // namespace redismutex::route
