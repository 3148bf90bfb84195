#pragma once

#include <optional>

#include "signals.hpp"

namespace redismutex::cli {

/// The first signal that asked this process to end. One thread at a time.
class EndingSignal {
 public:
  explicit EndingSignal(const Signals& signals) : reader_{signals} {}

  /// Readable when came() has something to do.
  int descriptor() const noexcept { return reader_.descriptor(); }

  /// Reads what came, and says whether there is one. Stops the process where a signal asks for that (Ctrl-Z).
  bool came() {
    while (const auto info = reader_.next()) {
      const int signal = static_cast<int>(info->ssi_signo);
      if (asks_to_stop(signal)) {
        stop_as_by(signal);
      } else if (asks_to_end(signal) && !number_) {
        number_ = signal;
      }
    }
    return number_.has_value();
  }

  /// Of a signal that came.
  int number() const { return number_.value(); }

 private:
  SignalReader reader_;
  std::optional<int> number_;
};

}  // namespace redismutex::cli
