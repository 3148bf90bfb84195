#pragma once

#include <optional>
#include <redismutex/redismutex.hpp>
#include <string>
#include <utility>

#include "locker.hpp"

namespace redismutex::bench {

/// This library, by its public interface alone.
class Ours : public Locker {
 public:
  explicit Ours(RedisMutex mutex) : mutex_{std::move(mutex)} {}

  void lock(const std::string& key) override { lock_.emplace(mutex_.acquire_lock(key)); }
  void unlock() override {
    lock_->release();
    lock_.reset();
  }

 protected:
  std::optional<Lock> lock_;

 private:
  RedisMutex mutex_;
};

/// Uses what all versions have, so that another version of it can be measured by the same source. By name:
///   ours            with the default options
///   ours-fenced     the same with Options::fencing
///   ours-listening  the same with a callback on each Lock's lost_token()
///   ours-patient    with a block time of a minute
/// Threads share a connection. Throws std::invalid_argument for another name.
Lockers make_ours(const std::string& name, const std::string& url, int connections = 1, int threads = 1);

bool is_ours(const std::string& name);

}  // namespace redismutex::bench
