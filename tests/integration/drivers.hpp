#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <string>
#include <vector>

namespace redismutex::testing {

/// A lock that a driver has taken: as Lock. Goes with a release.
class Taken {
 public:
  Taken() = default;
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;
  virtual ~Taken() = default;

  virtual std::string key() const = 0;
  virtual std::string value() const = 0;
  virtual std::optional<std::uint64_t> fencing_token() const = 0;
  virtual std::chrono::milliseconds valid_for() const = 0;
  virtual std::stop_token lost_token() const = 0;
  virtual void extend(std::chrono::milliseconds expiry) = 0;
  virtual void release() = 0;
};

/// How a program asks for locks. Each function returns when it knows, and throws what the library says.
class Driver {
 public:
  Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  virtual ~Driver() = default;

  virtual std::string name() const = 0;

  /// As RedisMutex::acquire_lock.
  virtual std::unique_ptr<Taken> acquire(const Connection& connection, const Options& options, const std::string& key,
                                         const std::stop_token& stop = {}) const = 0;

  /// As RedisMutex::try_acquire_lock_for; no limit: as try_acquire_lock. None if it was taken.
  virtual std::unique_ptr<Taken> try_acquire(const Connection& connection, const Options& options,
                                             const std::string& key,
                                             std::optional<std::chrono::milliseconds> limit = {}) const = 0;
};

/// Each way to drive the library: a thread that blocks, and a coroutine of a loop.
const std::vector<const Driver*>& drivers();

}  // namespace redismutex::testing
