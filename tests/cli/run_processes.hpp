#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace redismutex::testing {

/// Names one `redismutex run` in the environment, so that all that its command starts can be found whatever it does: by
/// the variable, not by who its parent is, which is what redismutex itself goes by.
class RunMark {
 public:
  RunMark();

  /// For the environment of redismutex.
  const std::string& variable() const noexcept { return variable_; }

  /// The living processes of the command, but for those of redismutex itself.
  std::vector<pid_t> processes_of_command() const;

 private:
  std::string variable_;
};

/// The child of `parent` that has this name (/proc/PID/comm): "lock-keeper" or "signal-witness". 0 if there is none.
pid_t child_named(pid_t parent, const std::string& name);

/// The same, waited for. Throws std::runtime_error if it does not come.
pid_t await_child_named(pid_t parent, const std::string& name);

/// Any process of this name that sees the same files as this one (mount namespace). 0 if there is none.
pid_t process_named(const std::string& name);

/// Any living process of this name that has `variable` ("NAME=value") in its environment. 0 if there is none.
pid_t process_named(const std::string& name, const std::string& variable);

}  // namespace redismutex::testing
