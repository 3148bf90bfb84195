#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/greeting.hpp"
#include "protocol/instant.hpp"
#include "protocol/slot.hpp"
#include "route/environment.hpp"

namespace redismutex::route {

/// What the server sends us unasked on the present connection: messages in channels of our own, and changes of keys. Knows
/// what is to be asked for, and what was refused; sends nothing itself. Thread-safe.
///
/// There is one channel; in a cluster one for each slot, which has a name in that slot, so that it moves along with the slot's keys. One that
/// nobody has used for a minute is given up when another one is asked for. Where there is no cluster the slot is protocol::no_slot.
///
/// A refusal that goes by (the server is busy, or loads its data) means nothing: the next request that wants pushes asks again.
/// One that does not (the right is missing, or the command) holds for the connection. The channel is sharded where the server
/// has such channels, so that nobody else's PSUBSCRIBE looks like one of our waiters; else it is a plain one.
class Pushes final {
 public:
  explicit Pushes(Environment& environment) : environment_{environment} {}

  /// A new connection. It has another channel than those before it, so that after a failover nobody is reached under a name
  /// that stands in an old line; the first one has the name that mailbox() has told already.
  void begin(std::uint64_t link_id, const net::Greeting& greeting);

  /// How the server reaches us, as it stands in a place in line (lua/line.lua): "s" or "p" and the name of the channel, sharded
  /// or plain; "-" if it does not let us have one. Before the first connection, a guess.
  std::string mailbox(std::uint16_t slot = protocol::no_slot);

  /// The same without memory: written to `text`, of which it is a part.
  using MailboxText = std::array<char, 40>;
  std::string_view mailbox(std::uint16_t slot, MailboxText& text);

  /// Whether there has been a connection, so that it is no guess. Costs one load.
  bool knows_mailbox() const noexcept { return knows_mailbox_; }

  /// What somebody wants to hear of: in a cluster only messages need a channel.
  enum class News { messages, changes };

  /// Whether there is anything to ask for on this connection. Without a cluster it costs one load.
  bool incomplete(std::uint64_t link_id, std::uint16_t slot = protocol::no_slot, News news = News::messages) {
    return slot == protocol::no_slot ? complete_link_ != link_id : lacks_slot(link_id, slot, news);
  }

  /// What is to be asked for.
  struct Wanted {
    std::string_view subscribe;  ///< the command; empty: none
    std::string channel;
    bool tracking = false;
    std::uint16_t slot = protocol::no_slot;  ///< of the channel
    std::string unused;                      ///< another slot's channel, to be given up; empty: none. Not with tracking
    std::uint64_t number = 0;                ///< of the question
  };
  Wanted wanted(std::uint64_t link_id, std::uint16_t slot = protocol::no_slot, News news = News::messages);

  /// Somebody for whom there may be messages in the channel of a slot of a cluster: it is not given up meanwhile. Without a cluster, and in a
  /// child of fork(), it is nothing.
  class Use {
   public:
    /// Before it is asked whether anything is incomplete(). Throws std::bad_alloc.
    Use(Pushes& pushes, std::uint16_t slot);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    bool is_of(const Pushes& pushes) const noexcept { return &pushes == &pushes_; }

   private:
    Pushes& pushes_;
    const std::uint16_t slot_;
    const std::uint64_t fork_generation_ = fork_generation();
  };

  /// What that came to.
  enum class Next {
    go_on,      ///< it was granted, or may be next time
    ended,      ///< it was granted, and may have ended since: it is to be asked for again
    ask_again,  ///< there is no sharded channel to be had: see wanted() for the plain one
    do_without  ///< it is not to be had on this connection
  };

  /// `error`: the answer to what was wanted; empty: there was none.
  Next subscribed(std::uint64_t link_id, const Wanted& wanted, std::string_view error);
  Next tracked(std::uint64_t link_id, std::string_view error);

  /// An unused channel was given up. Whether somebody has begun to use it meanwhile: that may have been undone, and is to be asked for again.
  bool given_up(std::uint64_t link_id, std::string_view channel, std::string_view error);

  /// Whether the server tracks keys for this connection. Costs one load.
  bool tracks(std::uint64_t link_id) const noexcept { return tracking_link_ == link_id; }

  /// Whether keys of ours may be tracked, as far as is known.
  bool may_track() const noexcept { return !tracking_refused_; }

  /// The server has ended a sharded subscription by itself, as when its part of a cluster moves. If it was ours, and was known to be there, it is to
  /// be asked for again: in this slot, or protocol::no_slot. Else whoever has asked for it hears that from subscribed().
  std::optional<std::uint16_t> ended(std::string_view channel);

 private:
  enum class State { unasked, open, refused };

  struct Channel {
    State state = State::unasked;
    // It has ended after this question, for the last time: what was answered to that, or to one before, may be from before the end.
    std::uint64_t ended_after = 0;
    std::size_t users = 0;
    protocol::Instant unused_since{};
  };

  std::string name_of_channel(std::uint16_t slot) const;
  Channel& channel_of(std::uint16_t slot);
  void name_channel();
  bool lacks_slot(std::uint64_t link_id, std::uint16_t slot, News news);
  void note_completion();
  bool is_unused(const Channel& channel, protocol::Instant now) const;
  std::string take_unused();
  void begin_use(std::uint16_t slot);
  void end_use(std::uint16_t slot) noexcept;

  Environment& environment_;
  std::atomic<std::uint64_t> complete_link_{0};
  std::atomic<std::uint64_t> tracking_link_{0};
  std::atomic<bool> tracking_refused_{false};
  std::atomic<bool> knows_mailbox_{false};

  std::mutex mutex_;  // guards the rest, and what changes the above
  std::uint64_t link_id_ = 0;
  std::string name_;  // of all channels, behind what they have in common
  bool sharded_ = true;
  bool keeps_unused_ = false;  // the server does not let us give them up
  std::uint64_t asked_ = 0;    // questions
  Channel channel_;
  std::unordered_map<std::uint16_t, Channel> channels_;  // of slots
  std::vector<std::uint16_t> unused_;                    // of these, when that was looked for
  protocol::Instant next_look_{};                        // for those
  State tracking_ = State::unasked;
};

}  // namespace redismutex::route
