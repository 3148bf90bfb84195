#pragma once

#include <span>
#include <string>
#include <string_view>

namespace redismutex::net {

/// A connected stream of bytes. One thread may read while another writes, and any may shut it down.
class Stream {
 public:
  enum class Status {
    ok,
    would_block,
    closed,
    refused,  ///< the peer closed for a reason that will be the same next time
  };

  /// What came of a read or a write.
  struct Transfer {
    Status status;
    std::size_t bytes = 0;
    std::string why;  ///< for `closed` and `refused`
  };

  virtual ~Stream() = default;

  /// Takes what is there; `would_block` if nothing is.
  virtual Transfer read_now(std::span<char> buffer) = 0;

  /// The same, but sleeps until something is there, the peer closed, somebody shut it down, or a signal came (`would_block`).
  virtual Transfer read_blocking(std::span<char> buffer) = 0;

  /// Whether read_now would yield bytes that poll() on fd() does not know of.
  virtual bool has_buffered() = 0;

  /// Writes what the peer takes at this moment.
  virtual Transfer write_now(std::string_view bytes) = 0;

  /// Ends both directions: blocked readers and writers return.
  virtual void shut_down() noexcept = 0;

  virtual int fd() const noexcept = 0;
};

}  // namespace redismutex::net
