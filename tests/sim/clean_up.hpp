#pragma once

#include <cstdint>
#include <string>

#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::sim {

class Process;

/// What the server may still know of an id that nobody uses any more, as engine::Remains.
struct Remains {
  const protocol::Key& key;
  protocol::OwnerId id;
  protocol::Instant until;   ///< when the key has expired by itself
  std::uint64_t token = 0;   ///< as in protocol::Release::Terms
  std::string details = {};  ///< as there
  std::string former_details = {};
};

/// Gives it back in the background, as engine::clean_up does.
void clean_up(Process& process, Remains remains);

}  // namespace redismutex::sim
