#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "alternation.hpp"
#include "locker.hpp"

namespace redismutex::bench {

/// A contender that measures how long each of `pairs` pairs takes, in microseconds.
inline Contender latency_of(std::string name, int pairs, std::string key, std::shared_ptr<Locker> locker) {
  return {std::move(name), [pairs, key = std::move(key), locker = std::move(locker)](std::vector<double>& figures) {
            using Clock = std::chrono::steady_clock;
            auto before = Clock::now();
            for (int pair = 0; pair < pairs; ++pair) {
              locker->lock_and_unlock(key);
              const auto after = Clock::now();
              figures.push_back(std::chrono::duration<double, std::micro>{after - before}.count());
              before = after;
            }
          }};
}

}  // namespace redismutex::bench
