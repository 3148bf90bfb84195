#pragma once

#include <sys/types.h>

#include <stop_token>
#include <string>
#include <thread>

#include "boot_clock.hpp"
#include "lock_arguments.hpp"
#include "lock_news.hpp"
#include "lock_servers.hpp"

namespace redismutex::cli {

/// Tells people who wait for the lock, while it lives: the place in line, who is inside, and since when. On a terminal, where it has
/// us in the foreground, in one line that is drawn anew each second; with -v a line whenever something has changed. Elsewhere only
/// of a server that is away: a wrong address is waited for, too.
class WaitTeller {
 public:
  WaitTeller(const LockServers& servers, const LockNews& news, const LockArguments& arguments, pid_t group);

  /// Takes the line off the terminal.
  ~WaitTeller();
  WaitTeller(const WaitTeller&) = delete;
  WaitTeller& operator=(const WaitTeller&) = delete;

 private:
  void tell(const std::stop_token& stop);
  void show();
  std::string present() const;
  std::string who_is_inside() const;
  void draw(const std::string& text);
  void say_absence();

  const LockServers& servers_;
  const LockNews& news_;
  const LockArguments& arguments_;
  pid_t group_;
  bool on_terminal_;
  bool drawn_ = false;
  bool absence_said_ = false;
  std::string said_;
  std::jthread thread_;  // last: it uses all the others
};

}  // namespace redismutex::cli
