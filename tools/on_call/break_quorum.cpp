#include "break_quorum.hpp"

#include <algorithm>
#include <iostream>
#include <redismutex/operate.hpp>
#include <redismutex/printable.hpp>

#include "people.hpp"
#include "question.hpp"
#include "quorum_view.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "told.hpp"

namespace redismutex::cli {
namespace {

constexpr int is_free = 1;

/// One invocation.
class Breaking {
 public:
  Breaking(const ToBreak& what, const std::vector<ConnectionOptions>& servers) : what_{what}, lookout_{servers} {}

  int run() { return what_.waiter.empty() ? break_holder() : break_places(); }

 private:
  std::string quoted_key() const { return "'" + printable(what_.key) + "'"; }

  QuorumView look(std::size_t waiters) {
    return std::move(lookout_.look({what_.key}, {.waiters = waiters, .deep = true}).front());
  }

  bool is_wanted(const std::string& question) const { return what_.yes || ask(question); }

  int break_holder() {
    const QuorumView view = look(0);
    std::cerr << describe(view, Colours{}) << std::flush;
    const Inspection* const holder = view.holder();
    if (holder == nullptr) {
      say("nobody holds " + quoted_key() + " at a majority: there is nothing to break");
      return is_free;
    }
    if (holder->state != Inspection::State::held) {
      say(quoted_key() +
          " was not taken by redismutex, so nobody would be told. If nothing needs it, delete it: redis-cli DEL");
      return exit_status::internal_error;
    }
    if (!what_.owner.empty() && !has_owner(view, *holder)) return say_changed_hands();
    if (!is_wanted("Take " + quoted_key() + " from its holder?")) return say_not_done();
    return break_votes(view, *holder);
  }

  /// Under that id the holder may have it at some of them only.
  bool has_owner(const QuorumView& view, const Inspection& holder) const {
    return std::any_of(view.votes.begin(), view.votes.end(), [&](const Vote& vote) {
      return QuorumView::is_holders(vote, holder) && vote.seen->value == what_.owner;
    });
  }

  int break_votes(const QuorumView& view, const Inspection& holder) {
    std::size_t broken = 0;
    std::size_t left = view.votes_of(holder);
    for (std::size_t i = 0; i < view.votes.size(); ++i) {
      const Vote& vote = view.votes[i];
      if (!QuorumView::is_holders(vote, holder)) continue;
      try {
        if (break_lock(lookout_.connection(i), what_.key, vote.seen->value) == Broken::broken) ++broken;
        --left;
      } catch (const Error& error) {
        say(error.what());
      }
    }
    const bool is_lost = left < view.majority();
    if (broken == 0 && is_lost) return say_changed_hands();
    if (!is_lost) {
      say(quoted_key() + " is still held at a majority: too few of the servers answered");
      return exit_status::not_acquired;
    }
    std::cout << quoted_key() << " was taken from " << holder_text(holder) << " at " << broken << " of "
              << view.votes.size() << " servers\n"
              << told_text(holder) << "\n";
    return 0;
  }

  int break_places() {
    const QuorumView view = look(Lookout::all_waiters);
    std::size_t places = 0;
    for (const Vote& vote : view.votes) {
      if (vote.seen) places += place_in(*vote.seen) != nullptr ? 1U : 0U;
    }
    if (places == 0) {
      say("nobody with the id " + what_.waiter + " waits for " + quoted_key());
      return is_free;
    }
    std::cerr << quoted_key() << ": it waits at " << places << " of " << view.votes.size() << " servers\n";
    if (!is_wanted("Take it out of the line?")) return say_not_done();
    for (std::size_t i = 0; i < view.votes.size(); ++i) {
      const Waiter* const place = view.votes[i].seen ? place_in(*view.votes[i].seen) : nullptr;
      if (place != nullptr) break_waiter(lookout_.connection(i), what_.key, *place);
    }
    std::cout << "it is out of the line; if it is alive, it lines up again at the end\n";
    return 0;
  }

  const Waiter* place_in(const Inspection& seen) const {
    const auto place = std::find_if(seen.waiters.begin(), seen.waiters.end(),
                                    [&](const Waiter& each) { return each.id == what_.waiter; });
    return place == seen.waiters.end() ? nullptr : &*place;
  }

  static int say_not_done() {
    say("nothing was done");
    return exit_status::not_acquired;
  }

  int say_changed_hands() const {
    say(quoted_key() + " changed hands: somebody else holds it now; nothing was done");
    return exit_status::not_acquired;
  }

  const ToBreak& what_;
  QuorumLookout lookout_;
};

}  // namespace

int break_at_quorum(const ToBreak& what, const std::vector<ConnectionOptions>& servers) {
  return Breaking{what, servers}.run();
}

}  // namespace redismutex::cli
