#pragma once

#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <utility>

#include "descriptor.hpp"

namespace redismutex::cli {

/// What the processes of one `redismutex run` tell each other. Most are about `signal`.
struct Note {
  enum class What : int {
    // from the watcher to the keeper
    ends_the_wait,  // COMMAND has got the signal by itself: it matters only while there is no COMMAND
    for_command,
    for_everything,  // for COMMAND and all that it started: the terminal is gone
    // to the watcher
    command_starts,
    seen_by_keeper,
    seen_by_witness,
    witness_answers  // the question in `value`
  };

  What what = What::command_starts;
  int signal = 0;
  bool queued = false;  // by sigqueue(), which sends `value` along
  sigval value{};
};

/// One end of a connection between two of these processes. Sending never waits; what the other does not read is lost.
class NoteSocket {
 public:
  explicit NoteSocket(int descriptor) : descriptor_{descriptor} {}

  /// Two ends that are connected.
  static std::pair<NoteSocket, NoteSocket> pair() {
    std::array<int, 2> ends{};
    checked(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), "socketpair");
    return {NoteSocket{ends[0]}, NoteSocket{ends[1]}};
  }

  void send(const Note& note) const noexcept {
    [[maybe_unused]] const auto sent = ::send(descriptor_.get(), &note, sizeof note, MSG_NOSIGNAL);
  }

  /// The next note that came, if there is one.
  std::optional<Note> next() noexcept {
    Note note;
    const auto size = ::recv(descriptor_.get(), &note, sizeof note, 0);
    if (size == 0) closed_ = true;
    if (size != sizeof note) return std::nullopt;
    return note;
  }

  /// Whether next() has found that nobody has the other end any more.
  bool closed() const noexcept { return closed_; }

  /// For poll(): readable when there is a note, and from the end of the other on.
  int descriptor() const noexcept { return descriptor_.get(); }

  void close() noexcept { descriptor_.close(); }

 private:
  Descriptor descriptor_;
  bool closed_ = false;
};

}  // namespace redismutex::cli
