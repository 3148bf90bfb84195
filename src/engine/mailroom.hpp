#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "net/fork.hpp"
#include "net/link.hpp"
#include "protocol/exchange.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::engine {

/// Brings the server's pushes to those who wait: messages by owner id, changes of a key by key. Thread-safe.
class Mailroom final {
 public:
  /// One waiter's box. What comes is kept in it from open() on, also between two waits.
  class Box {
   public:
    Box(Mailroom& mailroom, const protocol::Key& key, const protocol::OwnerId& id);
    ~Box();
    Box(const Box&) = delete;
    Box& operator=(const Box&) = delete;

    /// Before the server is asked to send anything. Throws std::bad_alloc.
    void open();

   private:
    friend class Mailroom;

    Mailroom& mailroom_;
    const std::uint64_t fork_generation_ = net::fork_generation();
    const std::string& key_;
    const std::string_view id_;
    std::optional<protocol::Grant> grant_;  // as are the others, guarded by Mailroom::mutex_
    std::optional<std::chrono::milliseconds> first_;
    bool changed_ = false;
    net::Link* link_ = nullptr;  // set while the owner waits
    net::Caller* caller_ = nullptr;
    std::optional<std::list<Box*>::iterator> place_;  // belongs to the owner
  };

  struct Mail {
    std::optional<protocol::Grant> grant;
    std::optional<std::chrono::milliseconds>
        first;             ///< nobody is ahead any more; the present lease may end after so long
    bool changed = false;  ///< somebody changed the key, or there is another reason to look
  };

  /// Waits at the link until something is in the box, which is emptied, or the wait ends otherwise.
  Mail wait(Box& box, net::Link& link, net::Deadline deadline, const std::stop_token& stop, net::Link::Waited& how);

  /// For the handler of the server's pushes: a message on our channel, and somebody's change of a key, or of all of them.
  void deliver(std::string_view message);
  void key_changed(std::string_view key);
  void all_changed();

 private:
  template <class Concerns>
  void note_change(Concerns concerns);
  static void ring(Box& box);

  std::mutex mutex_;  // guards the rest
  std::list<Box*> boxes_;
};

}  // namespace redismutex::engine
