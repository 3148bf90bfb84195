// What <redismutex/asio.hpp> and <redismutex/boost_asio.hpp> have going on in a context, for one Asio each. Not to be included by others.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>

namespace redismutex {
inline namespace REDISMUTEX_ABI {
namespace REDISMUTEX_ASIO_NAME {
namespace net = REDISMUTEX_ASIO;

namespace detail {

class Life;

/// An operation that somebody waits for in a context, as long as it is under way.
class Waiting {
 public:
  Waiting() = default;
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  // When the context ends nobody waits any more:

  /// With the Life's mutex held. Whether it is still to be told how the operation ends, which is not to happen then. Else some thread is about
  /// to tell it, and then removes it.
  virtual bool claim() noexcept = 0;

  /// Whether this thread is about to tell it, or telling it.
  virtual bool is_told_here() const noexcept = 0;

  /// What was claimed goes. `by`: of which it is no part any more.
  virtual void abandon(const Life& by) noexcept = 0;

  /// This is a child of fork(), where it is never told, and its context is not to wait for it.
  virtual void note_child() noexcept = 0;

 protected:
  ~Waiting() = default;
};

/// Something that must go before its context does.
class Guest {
 public:
  Guest() = default;
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  virtual ~Guest() = default;

  virtual void note_fork(net::execution_context::fork_event /*event*/) noexcept {}
};

/// What goes on in a context, for threads that do not know whether it is still there. Thread-safe.
class Life {
 public:
  using Place = std::list<Waiting*>::iterator;

  Place add(Waiting& waiting) {
    const auto lock = enter();
    return waiting_.insert(waiting_.end(), &waiting);
  }

  /// Not of what was claimed.
  void remove(Place place) noexcept {
    std::list<Waiting*> removed;
    const auto lock = enter();
    removed.splice(removed.end(), waiting_, place);
    if (over_) changed_.notify_all();
  }

  /// Keeps it for as long as the context is there, or what is returned, whichever is shorter.
  static std::shared_ptr<void> keep(const std::shared_ptr<Life>& life, std::unique_ptr<Guest> guest) {
    return std::make_shared<Kept>(life, std::move(guest));
  }

  /// Does it, if the context is there, which stays for as long.
  template <class Do>
  void while_it_lasts(const Do& action) const {
    const auto lock = enter();
    if (!over_) action();
  }

  /// Between the two calls in the parent.
  bool is_forking() const {
    const std::lock_guard lock{mutex_};
    return is_forking_;
  }

  /// Asio wants nobody in the context between the two calls, and what is here is copied: other threads wait, but not for long, because one of
  /// them has the leases of the whole process to renew.
  void note_fork(net::execution_context::fork_event event) noexcept {
    if (event == net::execution_context::fork_child) begin_anew();
    const std::lock_guard lock{mutex_};
    is_forking_ = event == net::execution_context::fork_prepare;
    others_wait_for_ = is_forking_ ? std::this_thread::get_id() : std::thread::id{};
    for (const std::unique_ptr<Guest>& guest : guests_) guest->note_fork(event);
    if (event == net::execution_context::fork_child) {
      for (Waiting* const each : waiting_) each->note_child();
    }
    changed_.notify_all();
  }

  void end() noexcept {
    std::unique_lock lock{mutex_};
    over_ = true;
    while (true) {
      std::list<Waiting*> claimed;
      claim_into(claimed);
      if (claimed.empty()) {
        if (!is_told_elsewhere()) break;
        changed_.wait(lock);
        continue;
      }
      // At once: another context that ends may wait for them, and this one for that one's.
      lock.unlock();
      for (Waiting* const each : claimed) each->abandon(*this);
      lock.lock();
    }
    guests_.clear();
  }

 private:
  using Lock = std::unique_lock<std::recursive_mutex>;

  /// Waits, for a moment at the most, while another thread forks.
  Lock enter() const {
    constexpr std::chrono::milliseconds patience{100};
    Lock lock{mutex_};
    const auto may_go_on = [this] {
      return others_wait_for_ == std::thread::id{} || others_wait_for_ == std::this_thread::get_id();
    };
    if (!may_go_on() && !changed_.wait_for(lock, patience, may_go_on)) others_wait_for_ = {};
    return lock;
  }

  /// In a child: another thread of the parent's may have had the mutex.
  void begin_anew() noexcept {
    new (&mutex_) std::recursive_mutex;
    new (&changed_) std::condition_variable_any;
    is_child_ = true;
  }

  /// With the lock held: whether there is one that another thread tells. A child has none of those threads.
  bool is_told_elsewhere() const noexcept {
    return !is_child_ && std::any_of(waiting_.begin(), waiting_.end(),
                                     [](const Waiting* waiting) { return !waiting->is_told_here(); });
  }

  /// With the lock held.
  void claim_into(std::list<Waiting*>& claimed) noexcept {
    for (Place place = waiting_.begin(); place != waiting_.end();) {
      const Place each = place++;
      if ((*each)->claim()) claimed.splice(claimed.end(), waiting_, each);
    }
  }

  using Guests = std::list<std::unique_ptr<Guest>>;

  class Kept {
   public:
    Kept(std::shared_ptr<Life> life, std::unique_ptr<Guest> guest) : life_{std::move(life)} {
      const auto lock = life_->enter();
      if (!life_->over_) place_ = life_->guests_.insert(life_->guests_.end(), std::move(guest));
    }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;
    ~Kept() {
      const auto lock = life_->enter();
      if (place_ && !life_->over_) life_->guests_.erase(*place_);
    }

   private:
    const std::shared_ptr<Life> life_;
    std::optional<Guests::iterator> place_;
  };

  // Recursive, so that a watch can be made and kept in one go.
  mutable std::recursive_mutex mutex_;
  mutable std::condition_variable_any changed_;  // while it ends, and after a fork
  Guests guests_;
  std::list<Waiting*> waiting_;
  bool over_ = false;
  bool is_forking_ = false;
  mutable std::thread::id others_wait_for_{};  // who forks; none: nobody, or it takes too long
  bool is_child_ = false;                      // of fork()
};

}  // namespace detail

}  // namespace REDISMUTEX_ASIO_NAME
}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
