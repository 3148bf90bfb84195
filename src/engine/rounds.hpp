#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/enlistment.hpp"
#include "engine/setting.hpp"
#include "route/background.hpp"

namespace redismutex::engine {

/// What is done in the Background in rounds: each takes in what has come of the operations under way, judges each part of it alone, and sends
/// the next, up to a limit. `Result`: what comes of one. It may end at any time: operations under way then leave nothing.
template <class Result>
class Rounds : protected route::Background::Duty {
 public:
  /// Where operations leave their results. Outlives the Session if need be.
  class Landing {
   public:
    Landing(Setting from, Duty& duty, std::size_t most) : setting{std::move(from)}, duty_{&duty} {
      results_.reserve(most);
    }

    /// Has the next round made. False: nobody wants to know any more.
    bool leave(Result& result) noexcept {
      const std::lock_guard lock{mutex_};
      if (duty_ == nullptr) return false;
      results_.push_back(std::move(result));
      setting.background().call(*duty_, setting.now());
      return true;
    }

    const Setting setting;

   private:
    friend class Rounds;
    std::mutex mutex_;             // guards the rest; before the Background's
    Duty* duty_;                   // none: nobody wants to know any more
    std::vector<Result> results_;  // has room for all
  };

  /// It does nothing any more. Whether it was enlisted.
  bool close() noexcept {
    {
      const std::lock_guard lock{landing_->mutex_};
      landing_->duty_ = nullptr;
    }
    return enlistment_.close();
  }

 protected:
  Rounds(const Setting& setting, std::size_t most_under_way)
      : landing_{std::make_shared<Landing>(setting, static_cast<Duty&>(*this), most_under_way)},
        enlistment_{setting.background(), *this},
        most_under_way_{most_under_way} {
    taken_.reserve(most_under_way);
  }
  ~Rounds() = default;  // after close()

  /// Whether there are rounds, as before close(). Throws as Background::enlist().
  bool enlist() { return enlistment_.enlist(); }
  bool is_enlisted() const noexcept { return enlistment_.is_enlisted(); }

  /// The same, and sees to it that there are all threads. Throws as Background::get_ready().
  void get_ready() {
    if (has_threads_) return;
    landing_->setting.background().get_ready();
    enlist();
    has_threads_ = true;
  }

  // ---- in a round

  template <class TakeIn>
  void take_results(const TakeIn& take_in) {
    {
      const std::lock_guard lock{landing_->mutex_};
      taken_.swap(landing_->results_);
    }
    under_way_ -= taken_.size();
    for (Result& result : taken_) take_in(result);
    taken_.clear();
  }

  bool has_room() const noexcept { return under_way_ < most_under_way_; }
  void note_begun() noexcept { ++under_way_; }

  const std::shared_ptr<Landing> landing_;

 private:
  Enlistment enlistment_;
  std::atomic<bool> has_threads_{false};  // also those that dialling needs

  // The rest belongs to the Background.
  const std::size_t most_under_way_;
  std::size_t under_way_ = 0;
  std::vector<Result> taken_;
};

}  // namespace redismutex::engine
