#pragma once

#include <redismutex/config.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

class Executor;

namespace detail {

/// A completion that waits for its Work. An Executor runs or abandons it, once; either may destroy it.
class Completion {
 public:
  Completion() = default;
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;
  virtual ~Completion() = default;

  virtual void run() noexcept = 0;
  virtual void abandon() noexcept = 0;

 private:
  friend class Poster;
  Completion* next_ = nullptr;
};

/// A descriptor that an event loop watches for the library. The loop does not know it any more when this goes, or is disarmed, but a call may
/// be on its way. Calls nothing back itself; thread-safe.
class Watch {
 public:
  /// Is called by the loop, with the number that it was armed with, and no lock held.
  using Readable = std::function<void(std::uint64_t number)>;

  Watch() = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  virtual ~Watch() = default;

  /// Once, when something is there to be read. False: the loop has ended, or can not.
  virtual bool arm(std::uint64_t number) noexcept = 0;
  virtual void disarm() noexcept = 0;
};

/// What the copies of an Executor share: the completions that wait for the next Work.
class REDISMUTEX_EXPORT Poster : public std::enable_shared_from_this<Poster> {
 public:
  Poster() = default;
  Poster(const Poster&) = delete;
  Poster& operator=(const Poster&) = delete;
  virtual ~Poster();

  /// For any thread; may be called with no lock held only. It is abandoned if no Work can be posted.
  void add(Completion& completion) noexcept;

  /// `first` is run before them, and what that completes goes along.
  void run_all(Completion* first = nullptr) noexcept;
  void abandon_all() noexcept;

  /// What keeps the loop from ending while somebody waits for a completion, for as long as it is there; or null.
  virtual std::shared_ptr<void> hold() { return nullptr; }

  /// Whether the loop can watch descriptors; and a watch for one, which must go before that is closed. Null: the loop has ended, or can not.
  virtual bool can_watch() const noexcept { return false; }
  virtual std::unique_ptr<Watch> watch(int /*fd*/, const Watch::Readable& /*readable*/) { return nullptr; }

 private:
  virtual void post() = 0;

  struct REDISMUTEX_LOCAL Run;

  template <class Each>
  REDISMUTEX_LOCAL void take_all(const Each& each) noexcept;

  std::atomic<Completion*> waiting_{nullptr};  // the last one first
};

}  // namespace detail

/// Where operations complete: an event loop, or whatever else runs what it is given. Copies are the same one.
class REDISMUTEX_EXPORT Executor {
 public:
  /// What is to be run once, in any thread, some time after it was posted. One that is destroyed instead ends its operations without a
  /// word but to the Observer: what they hold is given back in the background. Two pointers wide, move-only.
  ///
  /// It runs all completions that have come until then, so that what they ask for is sent together.
  class Work {
   public:
    Work(Work&&) noexcept = default;
    Work& operator=(Work&&) = delete;
    ~Work() {
      if (poster_) poster_->abandon_all();
    }
    void operator()() noexcept {
      if (const auto poster = std::move(poster_)) poster->run_all();
    }

   private:
    friend class Executor;
    explicit Work(std::shared_ptr<detail::Poster> poster) noexcept : poster_{std::move(poster)} {}

    std::shared_ptr<detail::Poster> poster_;
  };

  /// Threads of the library.
  Executor() noexcept = default;

  /// `post` is called with a Work, by any thread, at any time, and is not to run it itself: it may be called by a thread that other
  /// operations wait for. If it throws, the Work is destroyed.
  template <class Post>
    requires std::invocable<const std::decay_t<Post>&, Work> && (!std::same_as<std::decay_t<Post>, Executor>)
  // NOLINTNEXTLINE(google-explicit-constructor,bugprone-forwarding-reference-overload): what posts is one
  Executor(Post&& post) : poster_{std::make_shared<Posts<std::decay_t<Post>>>(std::forward<Post>(post))} {}

  /// What is behind it; none: threads of the library.
  const std::shared_ptr<detail::Poster>& poster() const noexcept { return poster_; }

 private:
  template <class Post>
  class Posts final : public detail::Poster {
   public:
    explicit Posts(Post post) : post_{std::move(post)} {}

    std::shared_ptr<void> hold() override {
      if constexpr (requires { post_.hold(); }) return post_.hold();
      return nullptr;
    }

    bool can_watch() const noexcept override { return watches; }
    std::unique_ptr<detail::Watch> watch([[maybe_unused]] int fd,
                                         [[maybe_unused]] const detail::Watch::Readable& readable) override {
      if constexpr (watches) return post_.watch(fd, readable);
      return nullptr;
    }

   private:
    static constexpr bool watches =
        requires(const Post& post) { post.watch(int{}, std::declval<detail::Watch::Readable>()); };

    void post() override { std::as_const(post_)(Work{shared_from_this()}); }

    Post post_;
  };

  std::shared_ptr<detail::Poster> poster_;
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
