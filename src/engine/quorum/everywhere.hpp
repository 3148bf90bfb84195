#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "engine/extending.hpp"
#include "engine/quorum/panel.hpp"
#include "protocol/instant.hpp"
#include "route/background.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

/// What became of something that all servers of a quorum were asked for at once. Shared by the caller and those that ask. Thread-safe.
template <class Outcome>
class Answers {
 public:
  /// `caller` is woken with each answer, until detach().
  Answers(std::size_t servers, route::Waker& caller) : outcomes_(servers), caller_{&caller} {}

  /// None: it has not been asked, or has given no answer yet.
  using Outcomes = std::vector<std::optional<Outcome>>;

  void note(std::size_t server, Outcome outcome) {
    const std::lock_guard lock{mutex_};
    outcomes_[server] = std::move(outcome);
    --open_;
    if (caller_ != nullptr) caller_->wake();
  }
  void note_asked() noexcept {
    const std::lock_guard lock{mutex_};
    ++open_;
  }
  void detach() noexcept {
    const std::lock_guard lock{mutex_};
    caller_ = nullptr;
  }

  /// `judge`: is given all outcomes, and how many are still to come. With the lock held.
  template <class Judge>
  auto judge(const Judge& judge) const {
    const std::lock_guard lock{mutex_};
    return judge(outcomes_, open_);
  }

 private:
  mutable std::mutex mutex_;  // guards the rest
  Outcomes outcomes_;
  std::size_t open_ = 0;
  route::Waker* caller_;
};

/// A procedure at one of them, in the Background of its Session. `Asking`: has an outcome().
template <class Asking>
class AskingOne final : public route::Background::Operation {
 public:
  using Outcome = std::remove_cvref_t<decltype(std::declval<Asking&>().outcome())>;

  template <class... Given>
  AskingOne(std::shared_ptr<Answers<Outcome>> answers, std::size_t server, Outcome abandoned, Given&&... given)
      : asking_{std::forward<Given>(given)...},
        answers_{std::move(answers)},
        server_{server},
        abandoned_{std::move(abandoned)} {}

  route::Procedure& procedure() noexcept override { return asking_; }
  void over(End end) noexcept override {
    if (end == End::done) abandoned_ = asking_.outcome();
    answers_->note(server_, std::move(abandoned_));
  }

 private:
  Asking asking_;
  const std::shared_ptr<Answers<Outcome>> answers_;
  const std::size_t server_;
  Outcome abandoned_;
};

/// Has one of them asked. `given`: for the procedure, behind its Session. What can not be begun counts as not answered, and the
/// procedure's destructor sees to what that means.
template <class Asking, class... Given>
void ask_one(const Panel& panel, std::size_t server,
             const std::shared_ptr<Answers<typename AskingOne<Asking>::Outcome>>& answers, const Given&... given) {
  const NoAnswer none{.failure = {route::Failure::Kind::exhausted, route::out_of_memory}};
  Session& session = panel.session(server);
  answers->note_asked();
  try {
    session.background().start_here(std::make_shared<AskingOne<Asking>>(answers, server, none, session, given...));
  } catch (const std::exception&) {
    answers->note(server, none);
  }
}

}  // namespace redismutex::engine
