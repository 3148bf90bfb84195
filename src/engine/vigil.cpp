#include "engine/vigil.hpp"

#include <chrono>
#include <exception>

#include "engine/session.hpp"

namespace redismutex::engine {
namespace {

constexpr std::chrono::seconds between_looks{1};

}  // namespace

Vigil::Vigil(Session& session) : session_{session}, enlistment_{session.background(), *this} {}

void Vigil::keep() noexcept try {
  if (keeping_.load() || keeping_.exchange(true)) return;
  if (enlistment_.enlist()) session_.background().call(*this, session_.now() + between_looks);
} catch (const std::exception&) {
  keeping_ = false;  // the next lock tries again
}

protocol::Instant Vigil::run(protocol::Instant now) noexcept {
  // In this order: one that comes now either is seen, or begins anew.
  keeping_ = false;
  if (session_.renewer().is_idle()) return protocol::Instant::max();
  keeping_ = true;
  session_.background().verify_server();
  return now + between_looks;
}

}  // namespace redismutex::engine
