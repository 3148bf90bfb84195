#include "engine/clean_up.hpp"

#include <chrono>
#include <optional>
#include <utility>

#include "engine/clock.hpp"
#include "engine/session.hpp"
#include "protocol/release.hpp"

namespace redismutex::engine {

using protocol::Instant;

void clean_up(Session& session, Remains remains) {
  static constexpr std::chrono::milliseconds pause{250};
  session.errands().schedule(now(), [&session, remains = std::move(remains)]() -> std::optional<Instant> {
    protocol::Release release{remains.key,
                              remains.id,
                              {.valid_until = remains.until,
                               .token = remains.token,
                               .details = remains.details,
                               .former_details = remains.former_details,
                               .dead = protocol::Release::Dead::clear}};
    const auto failure = session.run(release, session.patience());
    if (failure && !failure->permanent() && now() + pause < remains.until) return now() + pause;
    return std::nullopt;
  });
}

}  // namespace redismutex::engine
