#include "engine/vigil.hpp"

#include <chrono>
#include <exception>
#include <utility>

#include "engine/session.hpp"

namespace redismutex::engine {
namespace {

constexpr std::chrono::seconds between_looks{1};

}  // namespace

void Vigil::keep() noexcept try {
  if (keeping_.load() || keeping_.exchange(true)) return;
  const std::lock_guard lock{mutex_};
  if (closed_) return;
  if (!enlisted_) session_.background().enlist(*this);
  enlisted_ = true;
  session_.background().call(*this, session_.now() + between_looks);
} catch (const std::exception&) {
  keeping_ = false;  // the next lock's try
}

protocol::Instant Vigil::run(protocol::Instant now) noexcept {
  // In this order: one that comes now either is seen, or begins anew.
  keeping_ = false;
  if (session_.renewer().is_idle()) return protocol::Instant::max();
  keeping_ = true;
  session_.background().verify_server();
  return now + between_looks;
}

void Vigil::close() noexcept {
  {
    const std::lock_guard lock{mutex_};
    closed_ = true;
    if (!std::exchange(enlisted_, false)) return;
  }
  session_.background().withdraw(*this);
}

}  // namespace redismutex::engine
