#include "engine/acquisition.hpp"

#include <utility>
#include <variant>

#include "engine/clock.hpp"
#include "engine/entropy.hpp"
#include "engine/report.hpp"
#include "protocol/release.hpp"

namespace redismutex::engine {

Acquisition::Acquisition(std::shared_ptr<Session> session, protocol::Key key, const Options& options)
    : session_{std::move(session)}, key_{std::move(key)}, id_{random_owner_id()}, options_{options} {}

std::unique_ptr<Hold> Acquisition::attempt(const std::stop_token& stop) { return run(std::nullopt, stop); }

std::unique_ptr<Hold> Acquisition::wait(std::chrono::milliseconds limit, const std::stop_token& stop) {
  return run(now() + limit, stop);
}

std::unique_ptr<Hold> Acquisition::run(std::optional<protocol::Instant> wait_until, const std::stop_token& stop) {
  // A non-blocking mutex may have any delay, and still be asked to wait.
  const auto delay = options_.delay.count() > 0 ? options_.delay : Options{}.delay;
  protocol::Acquire machine{key_, id_, {.expiry = options_.expiry, .wait_until = wait_until, .delay = delay}};
  const auto failure = session_->run(machine, wait_until ? deadline_at(*wait_until) : session_->patience(), stop);
  if (machine.perhaps_held()) give_back_in_background();
  if (failure && failure->kind == net::Failure::Kind::timed_out && machine.met_others()) return nullptr;
  if (failure) report::raise(*session_, report::action("acquire", key_), *failure);
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) {
    report::raise(*session_, report::action("acquire", key_), *refused);
  }
  const auto* held = std::get_if<protocol::Acquire::Held>(&machine.outcome());
  if (held == nullptr) return nullptr;
  return std::make_unique<Hold>(session_, key_, id_, options_.expiry, held->valid_until);
}

/// The server may have set the key although we were not told: without this everybody would wait for it to expire. Tried
/// until it would have.
void Acquisition::give_back_in_background() {
  static constexpr std::chrono::milliseconds pause{250};
  const protocol::Instant until = now() + options_.expiry;
  // The session outlives its own errands: it waits for them when it ends.
  session_->errands().schedule(
      now(), [session = session_.get(), key = key_, id = id_, until]() -> std::optional<protocol::Instant> {
        protocol::Release machine{key, id, until};
        const auto failure = session->run(machine, session->patience());
        if (failure && !failure->permanent() && now() + pause < until) return now() + pause;
        return std::nullopt;
      });
}

std::string Acquisition::taken(std::string_view why) const {
  return report::cannot(*session_, report::action("acquire", key_), why);
}

}  // namespace redismutex::engine
