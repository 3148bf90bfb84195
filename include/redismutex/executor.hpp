#pragma once

#include <redismutex/config.hpp>

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
  /// Those of one process. A child of fork() has its own: nothing of its parent's completes there.
  struct Completions;

  Poster();
  Poster(const Poster&) = delete;
  Poster& operator=(const Poster&) = delete;
  virtual ~Poster();

  /// Takes the place of `delete`: what goes with it is users' code, for which no other operation is to wait.
  struct Deleter {
    REDISMUTEX_EXPORT void operator()(Poster* poster) const noexcept;
  };

  /// For any thread; may be called with no lock held only. It is abandoned if no Work can be posted.
  void add(Completion& completion) noexcept;

  /// `first` is run before those that wait, and what it completes goes along.
  void run_all(Completion& first) noexcept;

  /// For a Work: what has waited for it runs, or is abandoned.
  static void run(const std::shared_ptr<Completions>& completions) noexcept;
  static void abandon(const std::shared_ptr<Completions>& completions) noexcept;

  /// What keeps the loop from ending while somebody waits for a completion, for as long as it is there; or null.
  virtual std::shared_ptr<void> hold() { return nullptr; }

  /// Whether the loop can watch descriptors; and a watch for one, which must go before that is closed. Null: the loop has ended, or can not.
  virtual bool can_watch() const noexcept { return false; }
  virtual std::unique_ptr<Watch> watch(int /*fd*/, const Watch::Readable& /*readable*/) { return nullptr; }

 private:
  /// A Work for these.
  virtual void post(std::shared_ptr<Completions> completions) = 0;

  struct REDISMUTEX_LOCAL Run;
  struct REDISMUTEX_LOCAL OfEachProcess;

  REDISMUTEX_LOCAL Completions* present() noexcept;
  REDISMUTEX_LOCAL void run(Completions& completions, Completion* first) noexcept;

  const std::unique_ptr<OfEachProcess> completions_;
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
      if (completions_) detail::Poster::abandon(completions_);
    }
    void operator()() noexcept {
      if (const auto completions = std::move(completions_)) detail::Poster::run(completions);
    }

   private:
    friend class Executor;
    explicit Work(std::shared_ptr<detail::Poster::Completions> completions) noexcept
        : completions_{std::move(completions)} {}

    std::shared_ptr<detail::Poster::Completions> completions_;
  };

  /// Threads of the library.
  Executor() noexcept = default;

  /// `post` is called with a Work, by any thread, at any time, by several at once, and is not to run it itself: it may be called by a
  /// thread that other operations wait for. If it throws, the Work is destroyed. It is itself destroyed in any thread.
  template <class Post>
    requires std::invocable<std::decay_t<Post>&, Work> && (!std::same_as<std::decay_t<Post>, Executor>)
  // NOLINTNEXTLINE(google-explicit-constructor,bugprone-forwarding-reference-overload): what posts is one
  Executor(Post&& post) : poster_{new Posts<std::decay_t<Post>>{std::forward<Post>(post)}, detail::Poster::Deleter{}} {}

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

    void post(std::shared_ptr<Completions> completions) override { post_(Work{std::move(completions)}); }

    Post post_;
  };

  std::shared_ptr<detail::Poster> poster_;
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
