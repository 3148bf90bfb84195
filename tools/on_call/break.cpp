#include "break.hpp"

#include <algorithm>
#include <iostream>
#include <memory>
#include <redismutex/operate.hpp>
#include <stdexcept>

#include "break_quorum.hpp"
#include "colours.hpp"
#include "describe.hpp"
#include "look.hpp"
#include "moments.hpp"
#include "notes.hpp"
#include "people.hpp"
#include "question.hpp"
#include "redis_cli.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"
#include "shared/shell_word.hpp"
#include "told.hpp"

namespace redismutex::cli {
namespace {

constexpr auto break_usage = R"(Examples:
  redismutex break nightly-report           # shows who holds it, and asks
  redismutex break --yes --owner ID deploy  # for scripts: only from that owner
  redismutex break --waiter ID deploy       # takes one out of the line

Usage: redismutex break [OPTIONS] KEY
)";
constexpr auto break_details =
    R"(The mutex is taken from the holder that is shown and from no other, and the next in line gets it in the same moment. The
old holder stops when it notices. Until then two may be inside; a fencing token lets the resource refuse the older one.
IDs are those that 'redismutex status' shows. At a quorum (--url several times) it is taken at each server where that holder has it.

Exit status: 0 done, or
    1  it is free, or nobody waits with that id
   64  usage error, no server named, or nobody to ask and no --yes
   69  server unreachable            75  it changed hands, or you said no
   70  internal error, or refused    77  login refused)";

/// One invocation.
class Breaking {
 public:
  Breaking(const ToBreak& what, const ConnectionOptions& server) : what_{what}, server_{server}, lookout_{server} {}

  int run() { return what_.waiter.empty() ? break_holder() : break_place(); }

 private:
  Inspection look(std::size_t waiters) {
    auto seen = lookout_.look({what_.key}, {.waiters = waiters, .deep = true});
    refuse_replica(lookout_.server());
    return std::move(seen.front());
  }

  void show(const Inspection& seen) const {
    std::cerr << describe(seen, lookout_.server(), Colours{}) << std::flush;
    say_missing_rights({&seen, 1});
  }

  std::string deletion() const { return way_to(server_).command("DEL " + shell_word(what_.key)); }

  int break_holder() {
    const Inspection seen = look(few);
    show(seen);
    if (seen.state == Inspection::State::free) return say_nobody_holds(what_, "");
    if (!what_.owner.empty() && what_.owner != seen.value) return say_another_owner(what_);
    if (seen.state != Inspection::State::held) return say_not_ours(what_, deletion());
    if (!what_.is_wanted("Take " + what_.quoted_key() + " from its holder?")) return say_not_done();
    switch (break_lock(lookout_.connection(), what_.key, seen.value)) {
      case Broken::broken: return say_broken(seen);
      case Broken::free: say(what_.quoted_key() + " was given back in this moment: it is free"); return is_free;
      case Broken::changed_hands: break;
    }
    show(look(few));
    return say_changed_hands(what_);
  }

  int say_broken(const Inspection& was) {
    const std::string deed = what_.quoted_key() + " was taken";
    return say_done(
        deed + " from " + holder_text(was, lookout_.server()) + "\n" + told_text(was) + "\n" + who_is_inside(), deed);
  }

  /// It is broken, also if that can not be told any more.
  std::string who_is_inside() try {
    const Inspection now = look(0);
    if (now.state == Inspection::State::held) return "inside now: " + holder_text(now, lookout_.server()) + "\n";
    return now.state == Inspection::State::free ? "it is free now: nobody waited\n" : "";
  } catch (const Error& error) {
    say(error.what());
    return {};
  }

  int break_place() {
    const Inspection seen = look(Lookout::all_waiters);
    const auto& line = seen.waiters;
    const auto place =
        std::find_if(line.begin(), line.end(), [&](const Waiter& each) { return each.id == what_.waiter; });
    if (place == line.end()) return say_nobody_waits(what_);
    const std::string who = process_text(place->client);
    std::cerr << what_.quoted_key() + ": " + who + " waits since " + clock_text(place->waiting_since, seen.seen_at) +
                     ", at place " + std::to_string(place->position) + " of " + std::to_string(seen.places) + "\n";
    if (!what_.is_wanted("Take it out of the line?")) return say_not_done();
    const bool held = break_waiter(lookout_.connection(), what_.key, *place);
    return held ? say_done("it had got the mutex meanwhile, which was taken from it\n",
                           what_.quoted_key() + " was taken")
                : say_done(is_out_of_line, "it is out of the line");
  }

  static constexpr std::size_t few = 5;

  const ToBreak& what_;
  const ConnectionOptions server_;
  Lookout lookout_;
};

int run_break(const ToBreak& what, const ServerOption& server) {
  if (!what.yes && !can_ask()) {
    throw std::invalid_argument{"there is no terminal to ask on; --yes breaks without a question"};
  }
  if (server.is_quorum()) return break_at_quorum(what, server.all());
  return Breaking{what, server.options()}.run();
}

}  // namespace

Run add_break(CLI::App& app, const ServerOption& server) {
  set_help(app, break_usage, std::string{where_the_url_is} + "\n\n" + break_details);
  const auto options = std::make_shared<ToBreak>();
  app.add_flag("-y,--yes", options->yes, "do not ask");
  // As that of a variable of a script that is not set: without the option another lock would be broken than was meant.
  const auto is_id = [](const std::string& id) {
    return id.empty() ? std::string{"an id is not empty"} : std::string{};
  };
  app.add_option("--owner", options->owner, "only if this is the holder's id")->type_name("ID")->check(is_id);
  app.add_option("--waiter", options->waiter, "take out of the line the one that waits with this id")
      ->type_name("ID")
      ->check(is_id)
      ->excludes("--owner");
  app.add_option("KEY", options->key, "the name of the mutex")->required()->type_name("");
  return [options, &server] { return run_break(*options, server); };
}

}  // namespace redismutex::cli
