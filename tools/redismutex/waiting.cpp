#include "waiting.hpp"

#include <redismutex/operate.hpp>

#include "shared/holder.hpp"

namespace redismutex::cli {

using namespace std::chrono_literals;

std::optional<Lock> wait_for_lock(const RedisMutex& mutex, const std::string& key, Wait wait,
                                  const std::stop_token& stop) {
  constexpr auto for_ever = std::chrono::milliseconds{24h * 365};  // then anew
  if (wait) return mutex.try_acquire_lock_for(key, *wait, stop);
  while (true) {
    if (auto lock = mutex.try_acquire_lock_for(key, for_ever, stop)) return lock;
  }
}

std::string taken_text(const Connection& connection, const std::string& key, Wait wait) {
  std::string text = "the lock '" + key + "' " + (wait > 0ms ? "was still taken after the wait" : "is taken");
  try {
    const auto seen = inspect(connection, key, {.waiters = 0});
    if (seen.state == Inspection::State::free) return text;
    return text + " " + taken_by(seen) + "; to break it: redismutex break " + shell_word(key);
  } catch (const Error&) {  // the user may take locks, and not look at them; or the server has gone
    return text;
  }
}

}  // namespace redismutex::cli
