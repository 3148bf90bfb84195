#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace redismutex::cli {

/// While all that descends from a process is killed: how long between two looks at it. What was started between two of them is caught
/// by the next.
constexpr std::chrono::milliseconds kill_again_every{5};

/// What has not ended by then hangs in the kernel, or is not ours to kill.
constexpr std::chrono::seconds kill_limit{10};

/// All that descends from this process, as /proc shows it: also what has gone into a session of its own, or whose parent
/// has ended. For that this process has to be a subreaper, the one whom the kernel gives orphans.
class Family {
 public:
  /// Makes the calling process a subreaper. Its children that exist already, and all that descends from them, are no
  /// business of ours.
  Family();

  /// A child of ours that is no member; its children are.
  void exempt(pid_t helper) { helpers_.push_back(helper); }

  /// The living members, parents before their children.
  std::vector<pid_t> members() const;

  /// Sends a signal to all members but `has_it`. It walks through them until it finds no new one: a member may have started
  /// another behind its back.
  void signal(int number, pid_t has_it = 0) const;

  /// Kills (SIGKILL) all members, in the same way. Those that it has killed before are left alone: they need the processor to
  /// die, and to walk through them takes it.
  void kill();

  /// Whether no member is alive. It looks twice: one look can miss an orphan that changes hands in this very moment.
  bool is_gone() const { return members().empty() && members().empty(); }

 private:
  /// A process, which its number alone would not tell from a later one.
  struct Known {
    pid_t pid;
    unsigned long long started_at;

    friend bool operator==(const Known&, const Known&) = default;
  };

  template <class Function>
  void for_each(Function function) const;
  template <class ChildrenOf, class Function>
  void for_each(ChildrenOf find_children, Function function) const;
  void send_to_new_ones(int number, std::vector<Known>& done, pid_t has_it) const;

  std::vector<pid_t> strangers_;
  std::vector<pid_t> helpers_;
  std::vector<Known> killed_;
};

/// Sends a signal to the living processes, whoever their parents are, that have `variable` ("NAME=value") in their
/// environment, as far as this user may see that. Returns how many they are.
int signal_all_with(const std::string& variable, int number);

}  // namespace redismutex::cli
