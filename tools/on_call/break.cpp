#include "break.hpp"

#include <algorithm>
#include <iostream>
#include <memory>
#include <redismutex/operate.hpp>
#include <redismutex/printable.hpp>
#include <stdexcept>

#include "break_quorum.hpp"
#include "colours.hpp"
#include "describe.hpp"
#include "look.hpp"
#include "moments.hpp"
#include "notes.hpp"
#include "people.hpp"
#include "question.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"
#include "told.hpp"

namespace redismutex::cli {
namespace {

constexpr auto usage = R"(Examples:
  redismutex break nightly-report                # shows who holds it, asks, and takes it away
  redismutex break --yes --owner ID deploy       # for scripts: only from that owner
  redismutex break --waiter ID deploy            # takes one that waits out of the line

Usage: redismutex break [OPTIONS] KEY
)";
constexpr auto details =
    R"(The mutex is taken from the holder that is shown and from no other, and the next in line gets it in the same moment. The
old holder stops when it notices. Until then two may be inside; a fencing token lets the resource refuse the older one.
IDs are those that 'redismutex status' shows. At a quorum (--url several times) it is taken at each server where that holder has it.

Exit status: 0 done, or
    1  it is free, or nobody waits with that id
   64  usage error, no server named, or nobody to ask and no --yes
   69  server unreachable                   75  not done: it changed hands, or you said no
   70  internal error, or refused           77  login refused)";

constexpr int is_free = 1;

struct BreakOptions {
  std::string key;
  std::string owner;   // empty: whoever holds it
  std::string waiter;  // empty: it is about the holder
  bool yes = false;
};

/// One invocation.
class Breaking {
 public:
  Breaking(const BreakOptions& options, const ServerOption& server) : options_{options}, lookout_{server} {}

  int run() { return options_.waiter.empty() ? break_holder() : break_place(); }

 private:
  std::string quoted_key() const { return "'" + printable(options_.key) + "'"; }

  Inspection look(std::size_t waiters) {
    return std::move(lookout_.look({options_.key}, {.waiters = waiters, .deep = true}).front());
  }

  void show(const Inspection& seen) const {
    std::cerr << describe(seen, lookout_.server(), Colours{}) << std::flush;
    say_missing_rights({&seen, 1});
  }

  bool is_wanted(const std::string& question) const { return options_.yes || ask(question); }

  int break_holder() {
    const Inspection seen = look(few);
    show(seen);
    if (seen.state == Inspection::State::free) {
      say(quoted_key() + " is free: there is nothing to break");
      return is_free;
    }
    if (!options_.owner.empty() && options_.owner != seen.value) return say_changed_hands();
    if (seen.state != Inspection::State::held) {
      say(quoted_key() +
          " was not taken by redismutex, so nobody would be told. If nothing needs it, delete it: redis-cli DEL");
      return exit_status::internal_error;
    }
    if (!is_wanted("Take " + quoted_key() + " from its holder?")) return say_not_done();
    switch (break_lock(lookout_.connection(), options_.key, seen.value)) {
      case Broken::broken: say_broken(seen); return 0;
      case Broken::free: say(quoted_key() + " was given back in this moment: it is free"); return is_free;
      case Broken::changed_hands: break;
    }
    show(look(few));
    return say_changed_hands();
  }

  void say_broken(const Inspection& was) {
    const Inspection now = look(0);
    std::cout << quoted_key() << " was taken from " << holder_text(was) << "\n" << told_text(was) << "\n";
    if (now.state == Inspection::State::held) std::cout << "inside now: " << holder_text(now) << "\n";
    if (now.state == Inspection::State::free) std::cout << "it is free now: nobody waited\n";
  }

  int break_place() {
    const Inspection seen = look(Lookout::all_waiters);
    const auto& line = seen.waiters;
    const auto place =
        std::find_if(line.begin(), line.end(), [&](const Waiter& each) { return each.id == options_.waiter; });
    if (place == line.end()) {
      say("nobody with the id " + options_.waiter + " waits for " + quoted_key());
      return is_free;
    }
    const std::string who = process_text(place->client);
    std::cerr << quoted_key() << ": " << who << " waits since " << clock_text(place->waiting_since, seen.seen_at)
              << ", at place " << place->position << " of " << seen.places << "\n";
    if (!is_wanted("Take it out of the line?")) return say_not_done();
    const bool held = break_waiter(lookout_.connection(), options_.key, *place);
    std::cout << (held ? "it had got the mutex meanwhile, which was taken from it\n"
                       : "it is out of the line; if it is alive, it lines up again at the end\n");
    return 0;
  }

  int say_not_done() const {
    say("nothing was done");
    return exit_status::not_acquired;
  }

  int say_changed_hands() const {
    say(quoted_key() + " changed hands: somebody else holds it now; nothing was done");
    return exit_status::not_acquired;
  }

  static constexpr std::size_t few = 5;

  const BreakOptions& options_;
  Lookout lookout_;
};

int run(const BreakOptions& options, const ServerOption& server) {
  if (!options.yes && !can_ask()) {
    throw std::invalid_argument{"there is no terminal to ask on; --yes breaks without a question"};
  }
  if (server.is_quorum())
    return break_at_quorum({options.key, options.owner, options.waiter, options.yes}, server.all());
  return Breaking{options, server}.run();
}

}  // namespace

Run add_break(CLI::App& app, const ServerOption& server) {
  set_help(app, usage, std::string{where_the_url_is} + "\n\n" + details);
  const auto options = std::make_shared<BreakOptions>();
  app.add_flag("-y,--yes", options->yes, "do not ask");
  app.add_option("--owner", options->owner, "only if this is the holder's id")->type_name("ID");
  app.add_option("--waiter", options->waiter, "take out of the line the one that waits with this id")
      ->type_name("ID")
      ->excludes("--owner");
  app.add_option("KEY", options->key, "the name of the mutex")->required()->type_name("");
  return [options, &server] { return run(*options, server); };
}

}  // namespace redismutex::cli
