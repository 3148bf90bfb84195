#include "engine/vigil.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

#include "engine/session.hpp"

namespace redismutex::engine {
namespace {

constexpr std::chrono::seconds between_verifications{1};

}  // namespace

Vigil::Vigil(Session& session) : session_{session}, enlistment_{session.background(), *this} {}

void Vigil::keep() noexcept try {
  if (keeping_.load() || keeping_.exchange(true)) return;
  // Whoever holds locks for moments only may have none whenever it would be looked later.
  const protocol::Instant due{protocol::Instant::duration{due_.load()}};
  if (enlistment_.enlist()) session_.background().call(*this, std::max(session_.now(), due));
} catch (const std::exception&) {
  keeping_ = false;  // the next lock tries again
}

protocol::Instant Vigil::run(protocol::Instant now) noexcept {
  const protocol::Instant next = now + between_verifications;
  due_ = next.time_since_epoch().count();
  // In this order: one that comes now either is seen, or begins anew.
  keeping_ = false;
  const bool is_idle = session_.renewer().is_idle();
  if (!is_idle) keeping_ = true;
  verify(now);
  return is_idle ? protocol::never : next;
}

void Vigil::verify(protocol::Instant now) noexcept {
  if (session_.router().cluster() != nullptr) {
    session_.map_reader().look(now);
  } else {
    session_.background().verify_server();
  }
}

}  // namespace redismutex::engine
