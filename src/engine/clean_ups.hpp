#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>

#include "engine/rounds.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/release.hpp"

namespace redismutex::engine {

class Session;
struct CleanUpTask;

/// What the server may still know of an id that nobody uses any more.
struct Remains {
  protocol::Key key;
  protocol::OwnerId id;
  protocol::Instant until;   ///< when it is gone by itself
  std::uint64_t token = 0;   ///< as in protocol::Release::Terms
  std::string details = {};  ///< as there
  std::string former_details = {};
  protocol::Release::Label label = protocol::Release::Label::none;  ///< as there
};

/// Gives back in the background what its owner has no time for: locks, and places in line; the others would wait for them to expire.
/// Many at once, up to a limit; each is tried until it would have expired. At the end of the Session what is left is tried once more, all
/// together, for as long as one operation may take. Thread-safe.
class CleanUps final : private Rounds<std::list<CleanUpTask>> {
 public:
  /// So many commands are under way at once.
  static constexpr std::size_t most_under_way = 64;

  explicit CleanUps(Session& session);
  ~CleanUps();

  /// What is left is tried once more: the Background has it, and nobody waits for it here. Later ones are tried once.
  void close() noexcept;

  /// Where there is no thread or no memory for it, it expires by itself.
  void add(Remains remains) noexcept;

 private:
  using Instant = protocol::Instant;
  using Task = CleanUpTask;
  using Tasks = std::list<Task>;  // goes from one to the other without memory
  class Attempt;

  Instant run(Instant now) noexcept override;
  void take_in(Tasks& task, Instant now) noexcept;
  void tell_log(const Task& task) noexcept;

  Session& session_;

  std::mutex mutex_;  // guards what follows; before the Background's
  Tasks fresh_;
  bool closed_ = false;

  // The rest belongs to the Background.
  Tasks waiting_;      // until there is room
  Tasks pausing_;      // in the order in which they are due
  bool told_ = false;  // the log, of one that failed, since the last one that did not
};

}  // namespace redismutex::engine
