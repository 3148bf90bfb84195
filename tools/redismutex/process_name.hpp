#pragma once

#include <sys/prctl.h>

#include <algorithm>
#include <cstring>

namespace redismutex::cli {

/// By what name people and pkill(1) find this process.
class ProcessName {
 public:
  /// `argv` as main() has it.
  explicit ProcessName(char** argv) : begin_{*argv}, end_{*argv} {
    for (; *argv != nullptr; ++argv) end_ = *argv + std::strlen(*argv);
  }

  /// The name proper, in /proc/PID/comm; at most 15 characters.
  void set(const char* name) noexcept {
    ::prctl(PR_SET_NAME, name);
    name_ = name;
  }

  /// Shows the name in place of the whole command line, too. The words in argv are gone then.
  void hide_arguments() noexcept {
    const auto room = end_ - begin_;
    std::fill(begin_, end_, '\0');
    std::copy_n(name_, std::min<std::ptrdiff_t>(room, static_cast<std::ptrdiff_t>(std::strlen(name_))), begin_);
  }

 private:
  char* begin_;
  char* end_;
  const char* name_ = "";
};

}  // namespace redismutex::cli
