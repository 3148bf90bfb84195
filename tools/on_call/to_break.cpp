#include "to_break.hpp"

#include <iostream>
#include <redismutex/printable.hpp>

#include "question.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"

namespace redismutex::cli {

std::string ToBreak::quoted_key() const { return "'" + printable(key) + "'"; }

bool ToBreak::is_wanted(const std::string& question) const { return yes || ask(question); }

int say_nobody_holds(const ToBreak& what, const std::string& where) {
  say("nobody holds " + what.quoted_key() + where + ": there is nothing to break");
  return is_free;
}

int say_nobody_waits(const ToBreak& what) {
  say("nobody with the id " + printable(what.waiter) + " waits for " + what.quoted_key());
  return is_free;
}

int say_not_ours(const ToBreak& what, const std::string& deletion) {
  say(what.quoted_key() +
      " was not taken by redismutex, so nobody would be told. If nothing needs it, delete it: " + deletion);
  return exit_status::internal_error;
}

int say_another_owner(const ToBreak& what) {
  say("the holder of " + what.quoted_key() + " has another id than '" + printable(what.owner) + "'; nothing was done");
  return exit_status::not_acquired;
}

int say_changed_hands(const ToBreak& what) {
  say(what.quoted_key() + " changed hands: somebody else holds it now; nothing was done");
  return exit_status::not_acquired;
}

int say_done(const std::string& text, const std::string& deed) {
  std::cout << text << std::flush;
  if (std::cout) return 0;
  say(deed + ", but standard output can not be written to");
  std::cout.rdbuf(std::cerr.rdbuf());  // it works again: whoever looks at it would take this for a failure
  return 0;
}

int say_not_done() {
  say("nothing was done");
  return exit_status::not_acquired;
}

}  // namespace redismutex::cli
