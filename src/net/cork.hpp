#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

#include "net/fork.hpp"

namespace redismutex::net {

class Link;

/// As long as one is there, what its thread sends by Links, and does not wait for itself, is left unsent, but no longer than Link::push_pause. In the end
/// all of it goes out, in one write for each Link. Other threads that send by the same Link take it along. Lives on the stack.
class Cork {
 public:
  /// `most_left`: what so many calls of Link::send() ask for is left at the most; the next one takes it along. So the server works while this thread
  /// goes on.
  explicit Cork(std::size_t most_left = std::numeric_limits<std::size_t>::max()) noexcept;
  ~Cork();
  Cork(const Cork&) = delete;
  Cork& operator=(const Cork&) = delete;

  /// Nothing more is left: the next command takes along what was.
  void loosen() noexcept { is_loose_ = true; }

 private:
  friend class Link;

  /// Whether this thread leaves what is to be sent by the link.
  static bool holds(Link& link) noexcept;
  bool hold(Link& link) noexcept;

  struct Held {
    std::weak_ptr<Link> link;  // not its: the last owner of a Connection may go while this is there
    std::size_t left = 0;      // calls of send()
  };

  static constexpr std::size_t most_links = 8;  // the others send at once

  Cork* const outer_;
  const std::uint64_t generation_ = fork_generation();
  const std::size_t most_left_;
  std::array<Held, most_links> links_;
  std::size_t count_ = 0;
  bool is_loose_ = false;
};

}  // namespace redismutex::net
