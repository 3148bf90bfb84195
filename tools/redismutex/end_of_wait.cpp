#include "end_of_wait.hpp"

#include <poll.h>

#include <algorithm>
#include <cstdint>

namespace redismutex::cli {

EndOfWait::EndOfWait(const Interruption& interruption, const LockNews& news,
                     std::optional<std::chrono::milliseconds> patience)
    : interruption_{interruption}, news_{news}, patience_{patience}, thread_{[this] { listen(); }} {}

EndOfWait::~EndOfWait() { finish(); }

std::optional<LockNews::Absence> EndOfWait::finish() {
  finished_.raise();
  if (thread_.joinable()) thread_.join();
  return absence_;
}

void EndOfWait::listen() {
  std::vector<pollfd> sources{{finished_.descriptor(), POLLIN, 0}};
  for (const int descriptor : interruption_.descriptors) sources.push_back({descriptor, POLLIN, 0});
  while (!is_over()) {
    ::poll(sources.data(), sources.size(), time_to_look());
    if (sources.front().revents != 0) return;
  }
  stop_.request_stop();
}

bool EndOfWait::is_over() {
  if (interruption_.happened()) return true;
  if (const auto absence = news_.absence(); patience_ && absence && BootClock::now() - absence->since >= *patience_) {
    absence_ = absence;
  }
  return absence_.has_value();
}

/// In milliseconds: when the server can have been away for so long; -1: never.
int EndOfWait::time_to_look() const {
  if (!patience_) return -1;
  constexpr int until_it_is_known = 100;
  const auto absence = news_.absence();
  if (!absence && !news_.is_settled()) return until_it_is_known;
  const auto passed = absence ? BootClock::now() - absence->since : BootClock::duration{0};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*patience_ - passed);
  constexpr std::int64_t longest = 60'000;
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, longest));
}

}  // namespace redismutex::cli
