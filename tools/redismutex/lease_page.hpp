#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <system_error>

#include "boot_clock.hpp"

namespace redismutex::cli {

/// A page of memory that the keeper writes and the others read: how far things are, and until when COMMAND may run. They
/// need neither the network nor an answer for it, so they know the time also when the keeper stands still.
class LeasePage {
 public:
  enum class State : int {
    waiting,  // no process of COMMAND exists
    running,  // one may exist
    overdue,  // the witness has had to kill them
    finished  // the keeper starts nothing any more: what still runs of COMMAND was left running on purpose
  };

  LeasePage() : data_{new(shared_memory()) Data} {}
  LeasePage(const LeasePage&) = delete;
  LeasePage& operator=(const LeasePage&) = delete;
  ~LeasePage() { ::munmap(data_, sizeof *data_); }

  State state() const noexcept { return data_->state.load(); }
  void set_state(State state) noexcept { data_->state.store(state); }

  /// From now on only the keeper's own end is missing, which may have to wait for the network.
  void finish(int exit_status, bool is_commands_own = false) noexcept {
    data_->exit_status.store(exit_status);
    data_->is_commands_own.store(is_commands_own);
    set_state(State::finished);
  }

  /// As given to finish().
  int exit_status() const noexcept { return data_->exit_status.load(); }
  bool is_commands_own() const noexcept { return data_->is_commands_own.load(); }

  /// From when on COMMAND is to be asked to end, and from when on it is to be killed.
  BootClock::time_point stop_at() const noexcept { return at(data_->stop_at); }
  BootClock::time_point kill_at() const noexcept { return at(data_->kill_at); }
  void set_stop_at(BootClock::time_point when) noexcept { data_->stop_at.store(when.time_since_epoch().count()); }
  void set_kill_at(BootClock::time_point when) noexcept { data_->kill_at.store(when.time_since_epoch().count()); }

  /// For the report: when COMMAND began; the epoch if it has not. Whether it did not because the lock was taken.
  BootClock::time_point began_at() const noexcept { return at(data_->began_at); }
  void set_began_at(BootClock::time_point when) noexcept { data_->began_at.store(when.time_since_epoch().count()); }
  bool skipped() const noexcept { return data_->skipped.load(); }
  void set_skipped() noexcept { data_->skipped.store(true); }

  /// What the environment of COMMAND has, and of no process that is not COMMAND's: "NAME=value". At most 127 characters.
  /// Written before the state is running.
  std::string mark() const { return data_->mark.data(); }
  void set_mark(std::string_view mark) noexcept { mark.copy(data_->mark.data(), data_->mark.size() - 1); }

 private:
  struct Data {
    std::atomic<State> state{State::waiting};
    std::atomic<int> exit_status{0};
    std::atomic<bool> is_commands_own{false};
    std::atomic<std::int64_t> stop_at{0};
    std::atomic<std::int64_t> kill_at{0};
    std::atomic<std::int64_t> began_at{0};
    std::atomic<bool> skipped{false};
    std::array<char, 128> mark{};
  };
  // An atomic with a lock inside would lock out nobody in another process.
  static_assert(std::atomic<State>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free);

  static BootClock::time_point at(const std::atomic<std::int64_t>& when) noexcept {
    return BootClock::time_point{BootClock::duration{when.load()}};
  }

  static void* shared_memory() {
    void* const memory = ::mmap(nullptr, sizeof(Data), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    return memory;
  }

  Data* data_;
};

}  // namespace redismutex::cli
