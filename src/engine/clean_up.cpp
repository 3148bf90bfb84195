#include "engine/clean_up.hpp"

#include <chrono>
#include <exception>
#include <optional>
#include <utility>
#include <variant>

#include "engine/clock.hpp"
#include "engine/session.hpp"
#include "protocol/release.hpp"

namespace redismutex::engine {

using protocol::Instant;

namespace {

constexpr std::chrono::milliseconds pause_between_tries{250};

/// Whether it is worth another try.
bool try_to_clean_up(Session& session, const Remains& remains) {
  protocol::Release release{remains.key,
                            remains.id,
                            {.valid_until = remains.until,
                             .token = remains.token,
                             .details = remains.details,
                             .former_details = remains.former_details,
                             .dead = protocol::Release::Dead::clear}};
  const auto failure = session.run(release, session.patience());
  // A server that is busy or full is so for a while: what stays would be handed the lock, and nobody would take it.
  const bool refused = !failure && std::holds_alternative<protocol::Refusal>(release.outcome());
  const bool may_go_well_later = refused || (failure && !failure->permanent());
  return may_go_well_later && now() + pause_between_tries < remains.until;
}

}  // namespace

void clean_up(Session& session, Remains remains) noexcept {
  try {
    session.errands().schedule(now(), [&session, remains = std::move(remains)]() -> std::optional<Instant> {
      if (!try_to_clean_up(session, remains)) return std::nullopt;
      return now() + pause_between_tries;
    });
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see the header
  }
}

void clean_up_at_once(Session& session, const Remains& remains) { try_to_clean_up(session, remains); }

}  // namespace redismutex::engine
