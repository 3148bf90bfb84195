#pragma once

#include <optional>
#include <vector>

#include "boot_clock.hpp"
#include "notes.hpp"

namespace redismutex::cli {

/// Finds out which signals COMMAND has not got by itself. A signal to a whole process group (`kill -TERM -PGID`,
/// timeout(1)) or to a whole unit (systemd) has reached COMMAND already, and the witness, which belongs to both, too. A
/// signal to redismutex alone has reached neither. So each signal waits here for a moment, in case the sender is still
/// going through a list of processes, and then until the witness has said all that it got.
class SignalSieve {
 public:
  /// What the watcher, the keeper or the witness got.
  void add(const Note& note, BootClock::time_point now);

  /// Whether the witness is to be asked now, by the question number `last_question()`, for all that it got so far.
  bool has_question(BootClock::time_point now);
  int last_question() const { return question_; }

  /// The witness has answered this question, and all before it.
  void answered(int question);

  /// The next signal to be passed on.
  std::optional<Note> next(BootClock::time_point now);

  /// When the next of these functions has something to do.
  BootClock::time_point due() const;

  /// Whether a signal of this number is held back.
  bool holds(int signal) const;

 private:
  struct Entry {
    int signal;
    BootClock::time_point due;
    int question = 0;  // 0: not asked yet
    std::vector<Note> by_watcher{};
    std::vector<Note> by_keeper{};
    std::size_t by_witness = 0;
  };

  static std::vector<Note> to_pass_on(const Entry& entry);

  std::vector<Entry> entries_;  // the oldest first
  std::vector<Note> ready_;
  int question_ = 0;
};

}  // namespace redismutex::cli
