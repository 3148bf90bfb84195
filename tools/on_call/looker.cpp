#include "looker.hpp"

#include <redismutex/errors.hpp>
#include <redismutex/operate.hpp>
#include <redismutex/printable.hpp>
#include <utility>

#include "moments.hpp"
#include "people.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

std::string result_of_breaking(const Lookout& lookout, const Inspection& held) {
  refuse_replica(lookout.server());
  const std::string key = "'" + printable(held.key) + "' ";
  switch (redismutex::break_lock(lookout.connection(), held.key, held.value)) {
    case Broken::broken: return key + "was taken from " + holder_text(held, lookout.server());
    case Broken::free: return key + "was given back in this moment";
    case Broken::changed_hands: break;
  }
  return key + "changed hands: somebody else holds it now; nothing was done";
}

}  // namespace

Looker::Looker(Watched& watched) : watched_{watched}, view_{seen()} {
  thread_ = std::jthread{[this](const std::stop_token& stop) { work(stop); }};
}

std::shared_ptr<const View> Looker::view() const {
  const std::lock_guard lock{mutex_};
  if (end_) std::rethrow_exception(end_);
  return view_;
}

std::string Looker::trouble() const {
  const std::lock_guard lock{mutex_};
  if (!trouble_.empty()) return trouble_;
  if (!asked_at_ || Clock::now() - *asked_at_ < 500ms) return {};
  const auto silent = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - *asked_at_);
  return "the server has not answered for " + duration_text(silent);
}

void Looker::pause(bool paused) {
  const std::lock_guard lock{mutex_};
  paused_ = paused;
  wake_.notify_one();
}

void Looker::break_lock(const Inspection& held) {
  const std::lock_guard lock{mutex_};
  to_break_ = held;
  answer_.reset();
  wake_.notify_one();
}

std::optional<std::string> Looker::take_answer() {
  const std::lock_guard lock{mutex_};
  return std::exchange(answer_, std::nullopt);
}

void Looker::work(const std::stop_token& stop) {
  try {
    for (;;) {
      const auto to_break = wait_for_work(stop);
      if (stop.stop_requested()) return;
      if (to_break) break_it(*to_break);
      step();
    }
  } catch (...) {
    const std::lock_guard lock{mutex_};
    end_ = std::current_exception();
  }
}

/// Returns the holder that a lock is to be taken from, if there is one. Else a step is due.
std::optional<Inspection> Looker::wait_for_work(const std::stop_token& stop) {
  std::unique_lock lock{mutex_};
  asked_at_.reset();
  while (!stop.stop_requested() && !to_break_ && (paused_ || Clock::now() < watched_.next())) {
    if (paused_)
      wake_.wait(lock, stop, [this] { return to_break_ || !paused_; });
    else
      wake_.wait_until(lock, stop, watched_.next(), [this] { return to_break_ || paused_; });
  }
  asked_at_ = Clock::now();
  return std::exchange(to_break_, std::nullopt);
}

void Looker::step() {
  std::string trouble;
  bool is_new = false;
  try {
    is_new = watched_.step();
    static_cast<void>(watched_.take_changes());  // the screen shows the histories
  } catch (const LoginError&) {
    throw;
  } catch (const ConnectionError& error) {
    trouble = error.what();
  }
  auto view = is_new ? seen() : nullptr;
  const std::lock_guard lock{mutex_};
  trouble_ = std::move(trouble);
  if (view) view_ = std::move(view);
}

void Looker::break_it(const Inspection& held) {
  std::string answer;
  try {
    answer = result_of_breaking(watched_.lookout(), held);
  } catch (const Error& error) {
    answer = error.what();
  }
  watched_.hurry();
  const std::lock_guard lock{mutex_};
  answer_ = std::move(answer);
}

std::shared_ptr<const View> Looker::seen() const {
  auto view = std::make_shared<View>();
  for (const auto& [key, each] : watched_.seen()) view->seen.push_back(each);
  view->is_complete = watched_.knows_all();
  view->left_out = watched_.left_out();
  view->histories = watched_.histories();
  view->server_state = watched_.server_state();
  view->round_trip = watched_.round_trip();
  view->hand_overs = watched_.hand_overs_in_all();
  view->server = watched_.lookout().server();
  return view;
}

}  // namespace redismutex::cli
