#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "watched.hpp"

namespace redismutex::cli {

/// What was seen of the watched locks, and of their server.
struct View {
  std::vector<Inspection> seen;
  bool is_complete = false;  // else more is being looked for
  std::size_t left_out = 0;  // locks that are known, and are not watched
  std::map<std::string, History> histories;
  std::map<std::string, std::string> server_state;
  std::chrono::microseconds round_trip{0};
  std::size_t hand_overs = 0;
  NamedServer server;
};

/// Looks in a thread of its own, so that a screen answers keys while the server is silent.
class Looker {
 public:
  using Clock = std::chrono::steady_clock;

  /// `watched` has looked once, and is this object's from now on.
  explicit Looker(Watched& watched);

  /// Waits for what is asked of the server just now. To leave without that, end the process.
  ~Looker() = default;
  Looker(const Looker&) = delete;
  Looker& operator=(const Looker&) = delete;

  /// The present view; another object when there is a newer one. Throws what ended the looking: LoginError, ServerError.
  std::shared_ptr<const View> view() const;

  /// With the server, while it lasts; empty: none.
  std::string trouble() const;

  void pause(bool paused);

  /// Takes the lock from this holder, soon. What came of it is the next answer.
  void break_lock(const Inspection& held);

  /// A sentence, once.
  std::optional<std::string> take_answer();

 private:
  void work(const std::stop_token& stop);
  std::optional<Inspection> wait_for_work(const std::stop_token& stop);
  void step();
  void break_it(const Inspection& held);
  std::shared_ptr<const View> seen() const;

  Watched& watched_;  // of the thread
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::shared_ptr<const View> view_;
  std::string trouble_;
  std::exception_ptr end_;
  std::optional<Clock::time_point> asked_at_;  // while an answer is waited for
  bool paused_ = false;
  std::optional<Inspection> to_break_;
  std::optional<std::string> answer_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace redismutex::cli
