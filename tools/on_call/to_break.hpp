#pragma once

#include <string>

namespace redismutex::cli {

/// What is to be broken, as of `redismutex break`.
struct ToBreak {
  std::string key;
  std::string owner;   ///< empty: whoever holds it
  std::string waiter;  ///< empty: it is about the holder
  bool yes = false;

  std::string quoted_key() const;

  /// Whether --yes was given, or somebody at the terminal says yes to this question.
  bool is_wanted(const std::string& question) const;
};

// Reasons why nothing was broken. Each says it and returns the exit status.
int say_nobody_holds(const ToBreak& what, const std::string& where);  // where: "" or " at a majority"
int say_nobody_waits(const ToBreak& what);
int say_not_ours(const ToBreak& what, const std::string& deletion);  // deletion: the command for it
int say_another_owner(const ToBreak& what);
int say_changed_hands(const ToBreak& what);
int say_not_done();

/// Tells what was done. It stays done where nobody can be told; `deed` is for standard error then. Returns the exit status.
int say_done(const std::string& text, const std::string& deed);

/// Exit status: there is nothing to break.
constexpr int is_free = 1;

constexpr auto is_out_of_line = "it is out of the line; if it is alive, it lines up again at the end\n";

}  // namespace redismutex::cli
