#pragma once

#include <redismutex/config.hpp>

#include <chrono>
#include <string_view>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// Why a lock was lost.
enum class Loss {
  expired,  ///< its lease ended: it was not extended, or the server could not be reached in time
  gone,     ///< the server said so: the key was deleted, or has another owner
};

/// Is told what happens on a Connection, for metrics and logs: see ConnectionOptions::observer. Override what you need.
///
/// Called by the thread in which it happens, which may be one of the Connection's own, by several at once, and never with a
/// lock of this library held. What it does delays that thread: be quick. It must not throw.
class REDISMUTEX_EXPORT Observer {
 public:
  virtual ~Observer() = default;

  /// A lock was taken, after waiting that long.
  virtual void acquired(std::string_view /*key*/, std::chrono::nanoseconds /*waited*/) noexcept {}

  /// Somebody else has the lock, and one of our callers begins to wait for it.
  virtual void contended(std::string_view /*key*/) noexcept {}

  /// A lease was started anew, by Lock::extend() or by Options::auto_renew.
  virtual void renewed(std::string_view /*key*/, std::chrono::milliseconds /*valid_for*/) noexcept {}

  /// A lock was lost while somebody held it; told once for each.
  virtual void lost(std::string_view /*key*/, Loss /*why*/) noexcept {}

  /// A lock was given back after it was held that long.
  virtual void released(std::string_view /*key*/, std::chrono::nanoseconds /*held*/) noexcept {}

  /// The connection was lost before, and is there again.
  virtual void reconnected() noexcept {}
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
