#include "end_on_signal.hpp"

#include <poll.h>

#include <array>

namespace redismutex::cli {

EndOnSignal::EndOnSignal(SignalReader& signals) : signals_{signals}, thread_{[this] { listen(); }} {}

EndOnSignal::~EndOnSignal() { finish(); }

std::optional<int> EndOnSignal::finish() {
  over_.raise();
  if (thread_.joinable()) thread_.join();
  return signal_;
}

void EndOnSignal::listen() {
  std::array<pollfd, 2> sources{{{signals_.descriptor(), POLLIN, 0}, {over_.descriptor(), POLLIN, 0}}};
  while (true) {
    ::poll(sources.data(), sources.size(), -1);
    if (sources[1].revents != 0) return;
    const auto info = signals_.next();
    if (!info) continue;
    const auto signal = static_cast<int>(info->ssi_signo);
    if (signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) stop_as_by(signal);
    if (!asks_to_end(signal)) continue;
    signal_ = signal;
    asked_to_end_.request_stop();
    return;
  }
}

}  // namespace redismutex::cli
