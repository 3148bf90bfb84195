// What <redismutex/asio.hpp> and <redismutex/boost_asio.hpp> know of a context, for one Asio each. Not to be included by others.

#include <fcntl.h>

#include <algorithm>
#include <concepts>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <redismutex/executor.hpp>
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
    const std::lock_guard lock{mutex_};
    return waiting_.insert(waiting_.end(), &waiting);
  }

  /// Not of what was claimed.
  void remove(Place place) noexcept {
    std::list<Waiting*> removed;
    const std::lock_guard lock{mutex_};
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
    const std::lock_guard lock{mutex_};
    if (!over_) action();
  }

  /// Between the two calls in the parent.
  bool is_forking() const {
    const std::lock_guard lock{mutex_};
    return is_forking_;
  }

  void note_fork(net::execution_context::fork_event event) noexcept {
    // Another thread of the parent's may have had it.
    if (event == net::execution_context::fork_child) new (&mutex_) std::recursive_mutex;
    const std::lock_guard lock{mutex_};
    is_forking_ = event == net::execution_context::fork_prepare;
    is_child_ = is_child_ || event == net::execution_context::fork_child;
    for (const std::unique_ptr<Guest>& guest : guests_) guest->note_fork(event);
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
      const std::lock_guard lock{life_->mutex_};
      if (!life_->over_) place_ = life_->guests_.insert(life_->guests_.end(), std::move(guest));
    }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;
    ~Kept() {
      const std::lock_guard lock{life_->mutex_};
      if (place_ && !life_->over_) life_->guests_.erase(*place_);
    }

   private:
    const std::shared_ptr<Life> life_;
    std::optional<Guests::iterator> place_;
  };

  // Recursive, so that a watch can be made and kept in one go.
  mutable std::recursive_mutex mutex_;
  std::condition_variable_any changed_;  // while it ends
  Guests guests_;
  std::list<Waiting*> waiting_;
  bool over_ = false;
  bool is_forking_ = false;
  bool is_child_ = false;  // of fork()
};

/// Learns of the end of a context before its executors go.
class Service final : public net::execution_context::service {
 public:
  using key_type = Service;
  inline static net::execution_context::id id;

  explicit Service(net::execution_context& context) : net::execution_context::service{context} {}

  const std::shared_ptr<Life>& life() const noexcept { return life_; }

 private:
  void shutdown() override { life_->end(); }
  void notify_fork(net::execution_context::fork_event event) override { life_->note_fork(event); }

  const std::shared_ptr<Life> life_ = std::make_shared<Life>();
};

template <class Executor>
concept HasContext = requires(const Executor& executor) {
  static_cast<net::execution_context&>(net::query(executor, net::execution::context));
};

/// Of Asio's own threads, which nobody is to start by asking for them.
template <class Executor>
concept IsOfSystem = requires(const Executor& executor) {
  { net::query(executor, net::execution::context) } -> std::convertible_to<net::system_context&>;
};

/// Of an executor that has no context, or one that ends with the process: that does not end.
template <class Executor>
std::shared_ptr<Life> life_of(const Executor& executor) {
  if constexpr (HasContext<Executor> && !IsOfSystem<Executor>) {
    return net::use_service<Service>(
               static_cast<net::execution_context&>(net::query(executor, net::execution::context)))
        .life();
  } else {
    return std::make_shared<Life>();
  }
}

/// Keeps a context from running out of work.
template <class AsioExecutor>
class Work final : public Guest {
 public:
  explicit Work(const AsioExecutor& executor) : guard_{executor} {}

 private:
  const net::executor_work_guard<AsioExecutor> guard_;
};

#if REDISMUTEX_ASIO_HAS_DESCRIPTORS

/// A descriptor of the library's in a context, which does not know it unless somebody waits. For one thread at a time.
template <class AsioExecutor>
class Descriptor final : public Guest {
 public:
  using Readable = redismutex::detail::Watch::Readable;

  Descriptor(const AsioExecutor& executor, int fd, Readable readable)
      : fd_{fd}, readable_{std::make_shared<const Readable>(std::move(readable))}, descriptor_{executor} {}
  ~Descriptor() override { release(); }

  bool arm(std::uint64_t number) noexcept {
    if (is_inherited_) return false;
    armed_ = number;
    return wait();
  }

  void disarm() noexcept {
    armed_ = 0;
    release();
  }

 private:
  // A child must not find it in what it inherits: the library has closed it there, and the number may be another's.
  void note_fork(net::execution_context::fork_event event) noexcept override {
    if (event == net::execution_context::fork_prepare) release();
    if (event == net::execution_context::fork_parent && armed_ != 0 && !is_inherited_) wait();
    if (event == net::execution_context::fork_child) is_inherited_ = true;
  }

  bool wait() noexcept try {
    if (!descriptor_.is_open()) open();
    descriptor_.async_wait(net::posix::descriptor_base::wait_read,
                           [readable = readable_, number = armed_](const auto& error) {
                             if (!error) (*readable)(number);
                           });
    return true;
  } catch (const std::exception&) {
    return false;
  }

  /// Asio wants it not to block, whatever it is used for. Other threads read from it, and do want to: so Asio is made to believe it.
  void open() {
    const int flags = ::fcntl(fd_, F_GETFL);
    descriptor_.assign(fd_);
    descriptor_.native_non_blocking(true);
    ::fcntl(fd_, F_SETFL, flags);
  }

  void release() noexcept {
    if (descriptor_.is_open()) descriptor_.release();
  }

  const int fd_;
  const std::shared_ptr<const Readable> readable_;
  net::posix::basic_stream_descriptor<AsioExecutor> descriptor_;
  std::uint64_t armed_ = 0;
  bool is_inherited_ = false;
};

/// The same, for threads that do not know whether the context is still there.
template <class AsioExecutor>
class Watch final : public redismutex::detail::Watch {
 public:
  /// While the context is there.
  Watch(const AsioExecutor& executor, const std::shared_ptr<Life>& life, int fd, Readable readable) : life_{life} {
    auto descriptor = std::make_unique<Descriptor<AsioExecutor>>(executor, fd, std::move(readable));
    descriptor_ = descriptor.get();
    kept_ = Life::keep(life, std::move(descriptor));
  }

  bool arm(std::uint64_t number) noexcept override {
    bool armed = false;
    life_->while_it_lasts([&] { armed = !life_->is_forking() && descriptor_->arm(number); });
    return armed;
  }

  void disarm() noexcept override {
    life_->while_it_lasts([&] { descriptor_->disarm(); });
  }

 private:
  const std::shared_ptr<Life> life_;
  Descriptor<AsioExecutor>* descriptor_;  // as long as the context is there
  std::shared_ptr<void> kept_;
};

#endif

/// Posts Works to an executor of Asio, as long as its context is there, which does not run out of work while they are awaited.
template <class AsioExecutor>
class Posts {
 public:
  explicit Posts(const AsioExecutor& executor)
      : executor_{executor}, can_watch_{get_ready(executor)}, life_{life_of(executor)} {}

  /// A Work that can not be posted ends its operations: not with the lock held.
  void operator()(Executor::Work work) const {
    const auto kept = std::make_shared<Executor::Work>(std::move(work));
    life_->while_it_lasts([&] { net::post(executor_, [kept] { (*kept)(); }); });
  }

  std::shared_ptr<void> hold() const { return Life::keep(life_, std::make_unique<Work<AsioExecutor>>(executor_)); }

#if REDISMUTEX_ASIO_HAS_DESCRIPTORS
  std::unique_ptr<redismutex::detail::Watch> watch(int fd, redismutex::detail::Watch::Readable readable) const
    requires HasContext<AsioExecutor>
  {
    std::unique_ptr<redismutex::detail::Watch> made;
    if (!can_watch_) return made;
    life_->while_it_lasts(
        [&] { made = std::make_unique<Watch<AsioExecutor>>(executor_, life_, fd, std::move(readable)); });
    return made;
  }
#endif

 private:
  /// What Asio watches with is to be older than our Service, so that it goes after it when the context ends.
  static bool get_ready([[maybe_unused]] const AsioExecutor& executor) noexcept {
#if REDISMUTEX_ASIO_HAS_DESCRIPTORS
    if constexpr (HasContext<AsioExecutor>) {
      try {
        const net::posix::basic_stream_descriptor<AsioExecutor> first{executor};
        return true;
      } catch (const std::exception&) {  // it lacks a descriptor
      }
    }
#endif
    return false;
  }

  AsioExecutor executor_;
  bool can_watch_;
  std::shared_ptr<Life> life_;
};

}  // namespace detail

}  // namespace REDISMUTEX_ASIO_NAME
}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
