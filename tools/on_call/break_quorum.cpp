#include "break_quorum.hpp"

#include <algorithm>
#include <iostream>
#include <redismutex/operate.hpp>

#include "people.hpp"
#include "quorum_view.hpp"
#include "redis_cli.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/shell_word.hpp"
#include "told.hpp"

namespace redismutex::cli {
namespace {

/// One invocation.
class BreakingAtEach {
 public:
  BreakingAtEach(const ToBreak& what, const std::vector<ConnectionOptions>& servers)
      : what_{what}, servers_{servers}, lookout_{servers} {}

  int run() { return what_.waiter.empty() ? break_holder() : break_places(); }

 private:
  QuorumView look(std::size_t waiters) {
    return std::move(lookout_.look({what_.key}, {.waiters = waiters, .deep = true}).front());
  }

  /// At the first of them; the others in the same way.
  std::string deletion() const {
    return way_to(servers_.front()).command("DEL " + shell_word(what_.key)) + ", and so at the others";
  }

  int break_holder() {
    const QuorumView view = look(0);
    for (const Vote& vote : view.votes) refuse_replica(vote.server);
    std::cerr << describe(view, Colours{}) << std::flush;
    const Inspection* const holder = view.holder();
    if (holder == nullptr) return say_nobody_holds(what_, " at a majority");
    if (holder->state != Inspection::State::held) return say_not_ours(what_, deletion());
    if (!what_.owner.empty() && !has_owner(view, *holder)) return say_another_owner(what_);
    if (!what_.is_wanted("Take " + what_.quoted_key() + " from its holder?")) return say_not_done();
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
    if (broken == 0 && is_lost) return say_changed_hands(what_);
    if (!is_lost) {
      say(what_.quoted_key() + " is still held at a majority: too few of the servers answered");
      return exit_status::not_acquired;
    }
    const std::string deed = what_.quoted_key() + " was taken";
    return say_done(deed + " from " + holder_text(holder, view.holders_vote()->server) + " at " +
                        std::to_string(broken) + " of " + std::to_string(view.votes.size()) + " servers\n" +
                        told_text(holder) + "\n" + who_is_inside(),
                    deed);
  }

  /// It is broken, also if that can not be told any more.
  std::string who_is_inside() try {
    const QuorumView now = look(0);
    if (const Vote* const next = now.holders_vote())
      return "inside now: " + holder_text(*next->seen, next->server) + "\n";
    return now.is_free() ? "it is free now: nobody waited\n" : "";
  } catch (const Error& error) {
    say(error.what());
    return {};
  }

  int break_places() {
    const QuorumView view = look(Lookout::all_waiters);
    std::size_t places = 0;
    for (const Vote& vote : view.votes) {
      if (vote.seen) places += place_in(*vote.seen) != nullptr ? 1U : 0U;
    }
    if (places == 0) return say_nobody_waits(what_);
    std::cerr << what_.quoted_key() + ": it waits at " + std::to_string(places) + " of " +
                     std::to_string(view.votes.size()) + " servers\n";
    if (!what_.is_wanted("Take it out of the line?")) return say_not_done();
    for (std::size_t i = 0; i < view.votes.size(); ++i) {
      const Waiter* const place = view.votes[i].seen ? place_in(*view.votes[i].seen) : nullptr;
      if (place != nullptr) break_waiter(lookout_.connection(i), what_.key, *place);
    }
    return say_done(is_out_of_line, "it is out of the line");
  }

  const Waiter* place_in(const Inspection& seen) const {
    const auto place = std::find_if(seen.waiters.begin(), seen.waiters.end(),
                                    [&](const Waiter& each) { return each.id == what_.waiter; });
    return place == seen.waiters.end() ? nullptr : &*place;
  }

  const ToBreak& what_;
  const std::vector<ConnectionOptions>& servers_;
  QuorumLookout lookout_;
};

}  // namespace

int break_at_quorum(const ToBreak& what, const std::vector<ConnectionOptions>& servers) {
  return BreakingAtEach{what, servers}.run();
}

}  // namespace redismutex::cli
