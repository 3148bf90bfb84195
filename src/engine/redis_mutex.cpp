#include <redismutex/errors.hpp>
#include <redismutex/redis_mutex.hpp>
#include <utility>

#include "engine/acquisition.hpp"
#include "engine/fit.hpp"
#include "engine/hold.hpp"
#include "engine/session.hpp"
#include "engine/sessions.hpp"
#include "engine/validate.hpp"
#include "protocol/key.hpp"

namespace redismutex {

static_assert(RedisMutex::max_key_size == protocol::Key::max_size);

RedisMutex::RedisMutex(Connection connection, Options options)
    : sessions_{std::move(connection.sessions_)}, options_{engine::fit(options)} {}

Lock RedisMutex::acquire_lock(std::string_view key, std::stop_token stop) const {
  engine::Acquisition acquisition{sessions_->present(), protocol::Key{key}, options_};
  if (!options_.blocking) {
    if (auto hold = acquisition.attempt(stop)) return Lock{std::move(hold)};
    throw MutexLockError{acquisition.taken("it is taken, and this mutex does not wait")};
  }
  const std::chrono::milliseconds limit = *options_.block_time;
  if (auto hold = acquisition.wait(limit, stop)) return Lock{std::move(hold)};
  throw BlockTimeExceedError{acquisition.taken("it was still taken after the block time of " + engine::in_ms(limit))};
}

std::optional<Lock> RedisMutex::try_acquire_lock(std::string_view key) const {
  auto hold = engine::Acquisition{sessions_->present(), protocol::Key{key}, options_}.attempt({});
  if (!hold) return std::nullopt;
  return Lock{std::move(hold)};
}

std::optional<Lock> RedisMutex::try_acquire_lock_for(std::string_view key, std::chrono::milliseconds limit,
                                                     std::stop_token stop) const {
  engine::check_duration("try_acquire_lock_for: limit", limit);
  auto hold = engine::Acquisition{sessions_->present(), protocol::Key{key}, options_}.wait(limit, stop);
  if (!hold) return std::nullopt;
  return Lock{std::move(hold)};
}

}  // namespace redismutex
