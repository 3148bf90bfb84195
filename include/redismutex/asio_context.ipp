// What <redismutex/asio.hpp> and <redismutex/boost_asio.hpp> know of a context, for one Asio each, behind asio_life.ipp. Not to be included by
// others.

#include <fcntl.h>

#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <redismutex/executor.hpp>
#include <utility>

namespace redismutex {
inline namespace REDISMUTEX_ABI {
namespace REDISMUTEX_ASIO_NAME {
namespace net = REDISMUTEX_ASIO;

namespace detail {

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

/// Has the context go on without this, in a child of fork(), when it runs: a context whose last work goes before is stopped.
template <class AsioExecutor>
void end_in_child(net::executor_work_guard<AsioExecutor>& guard) noexcept {
  try {
    const AsioExecutor executor = guard.get_executor();  // before that goes with the guard
    net::post(executor, [ended = std::move(guard)] {});
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory; then it goes at once
  }
}

/// Keeps a context from running out of work.
template <class AsioExecutor>
class Work final : public Guest {
 public:
  explicit Work(const AsioExecutor& executor) : guard_{executor} {}

 private:
  void note_fork(net::execution_context::fork_event event) noexcept override {
    if (event == net::execution_context::fork_child) end_in_child(guard_);
  }

  net::executor_work_guard<AsioExecutor> guard_;
};

/// An executor that goes with its context.
template <class AsioExecutor>
struct KeptExecutor final : Guest {
  explicit KeptExecutor(const AsioExecutor& kept) : executor{kept} {}
  const AsioExecutor executor;
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
  explicit Posts(const AsioExecutor& executor) : can_watch_{get_ready(executor)}, life_{life_of(executor)} {
    auto kept = std::make_unique<KeptExecutor<AsioExecutor>>(executor);
    executor_ = &kept->executor;
    kept_ = Life::keep(life_, std::move(kept));
  }

  /// A Work that can not be posted ends its operations: not with the lock held.
  void operator()(Executor::Work work) const {
    const auto kept = std::make_shared<Executor::Work>(std::move(work));
    life_->while_it_lasts([&] { net::post(*executor_, [kept] { (*kept)(); }); });
  }

  std::shared_ptr<void> hold() const {
    std::shared_ptr<void> held;
    life_->while_it_lasts([&] { held = Life::keep(life_, std::make_unique<Work<AsioExecutor>>(*executor_)); });
    return held;
  }

#if REDISMUTEX_ASIO_HAS_DESCRIPTORS
  std::unique_ptr<redismutex::detail::Watch> watch(int fd, redismutex::detail::Watch::Readable readable) const
    requires HasContext<AsioExecutor>
  {
    std::unique_ptr<redismutex::detail::Watch> made;
    if (!can_watch_) return made;
    life_->while_it_lasts(
        [&] { made = std::make_unique<Watch<AsioExecutor>>(*executor_, life_, fd, std::move(readable)); });
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

  bool can_watch_;
  std::shared_ptr<Life> life_;
  const AsioExecutor* executor_;  // as long as the context is there
  std::shared_ptr<void> kept_;
};

}  // namespace detail

}  // namespace REDISMUTEX_ASIO_NAME
}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
