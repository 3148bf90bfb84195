#pragma once

#include <cstdint>
#include <string>

#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::engine {

class Session;

/// What the server may still know of an id that nobody uses any more.
struct Remains {
  protocol::Key key;
  protocol::OwnerId id;
  protocol::Instant until;   ///< when the key has expired by itself
  std::uint64_t token = 0;   ///< as in protocol::Release::Terms
  std::string details = {};  ///< as there
  std::string former_details = {};
};

/// Gives the lock, or the place in line, back in the background: the others would wait for it to expire. Tried until it would
/// have expired. `session` waits for it when it ends. Where there is no thread or no memory for that, it expires.
void clean_up(Session& session, Remains remains) noexcept;

/// The same in this thread, once.
void clean_up_at_once(Session& session, const Remains& remains);

}  // namespace redismutex::engine
