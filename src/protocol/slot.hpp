#pragma once

#include <cstdint>
#include <string_view>

namespace redismutex::protocol {

constexpr std::uint16_t slot_count = 16384;

/// In place of a slot, where there is no cluster.
constexpr std::uint16_t no_slot = slot_count;

/// The part of a key that decides its slot in a cluster: what is between the first `{` and the first `}` after it, or all of
/// the key if that is empty or not there. Source: Redis Cluster specification, "Hash tags".
std::string_view hashed_part(std::string_view key);

/// The slot of a cluster that a key belongs to, 0 to 16383. Source: Redis Cluster specification, "Key distribution model".
std::uint16_t slot_of(std::string_view key);

/// The first of all words over `0-9a-z`, by length and then by alphabet, that belongs to the slot. It has at most four letters.
/// The first call takes about a millisecond.
std::string_view word_of(std::uint16_t slot);

}  // namespace redismutex::protocol
