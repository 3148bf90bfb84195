#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <redismutex/executor.hpp>
#include <utility>

#include "net/cork.hpp"
#include "net/fork.hpp"
#include "route/callbacks.hpp"
#include "route/helps.hpp"

namespace redismutex::detail {
namespace {

// Of many completions what the first ones ask for goes out while the others run: else the server would have nothing to do meanwhile, and then
// the loop. With 64 operations at a time this makes 1.7 to 2 times the pairs a second of one write for all (bench/async.cpp).
constexpr std::size_t most_left_unsent = 16;

}  // namespace

struct Poster::Completions {
  explicit Completions(Poster& whose) noexcept : poster{whose} {}

  bool is_inherited() const noexcept { return generation != net::fork_generation(); }

  template <class Each>
  void take_all(const Each& each) noexcept {
    Completion* latest = last.exchange(nullptr, std::memory_order_acquire);
    Completion* first = nullptr;
    while (latest != nullptr) {
      Completion* const before = std::exchange(latest->next_, first);
      first = std::exchange(latest, before);
    }
    while (first != nullptr) each(*std::exchange(first, first->next_));
  }

  Poster& poster;
  const std::uint64_t generation = net::fork_generation();
  std::atomic<Completion*> last{nullptr};  // of those that wait; it knows the one before
};

struct Poster::OfEachProcess : net::OnePerProcess<Completions> {
  OfEachProcess() = default;
  OfEachProcess(const OfEachProcess&) = delete;
  OfEachProcess& operator=(const OfEachProcess&) = delete;
  ~OfEachProcess() { clear(); }
};

/// A Work that runs: what its completions complete goes along with it.
struct Poster::Run {
  const Completions& completions;
  Run* const outer = std::exchange(here, this);
  Completion* first = nullptr;
  Completion* last = nullptr;

  explicit Run(const Completions& whose) noexcept : completions{whose} {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() { here = outer; }

  void append(Completion& completion) noexcept {
    completion.next_ = nullptr;
    (first == nullptr ? first : last->next_) = &completion;
    last = &completion;
  }
  Completion& take() noexcept { return *std::exchange(first, first->next_); }

  static thread_local constinit Run* here;
};

thread_local constinit Poster::Run* Poster::Run::here = nullptr;

Poster::Poster() : completions_{std::make_unique<OfEachProcess>()} {
  completions_->get([this] { return Completions{*this}; });
}

Poster::~Poster() = default;

void Poster::Deleter::operator()(Poster* poster) const noexcept {
  std::unique_ptr<Poster> deleted{poster};
  if (!route::InRound::is_here()) return;
  try {
    const auto callbacks = std::make_shared<route::Callbacks>(nullptr, nullptr);
    callbacks->get_ready();
    callbacks->run(route::make_job([deleted = std::shared_ptr{std::move(deleted)}] {}));
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory, or no thread; then here
  }
}

/// Null: there is no memory for the first one of a child.
Poster::Completions* Poster::present() noexcept try {
  return &completions_->get([this] { return Completions{*this}; });
} catch (const std::bad_alloc&) {
  return nullptr;
}

/// The first one calls for a Work; those that come before that runs go along.
void Poster::add(Completion& completion) noexcept {
  Completions* const completions = present();
  if (completions == nullptr) return completion.abandon();
  if (Run::here != nullptr && &Run::here->completions == completions) return Run::here->append(completion);
  const std::shared_ptr<Poster> self = weak_from_this().lock();  // what has completed may have been the last owner
  Completion* before = completions->last.load(std::memory_order_relaxed);
  do {
    completion.next_ = before;
  } while (!completions->last.compare_exchange_weak(before, &completion, std::memory_order_release,
                                                    std::memory_order_relaxed));
  if (before != nullptr) return;
  try {
    post(std::shared_ptr<Completions>{self, completions});
  } catch (...) {  // NOLINT(bugprone-empty-catch): the Work that was not taken has ended them
  }
}

/// Not for ever: others of the loop want to run, too. One of them may return in a child of fork(), where the rest is the parent's.
void Poster::run(Completions& completions, Completion* first) noexcept {
  // An Executor that runs a Work when it is posted would have users' code hold up all operations of the process.
  assert(!route::InRound::is_here());
  constexpr int most = 256;
  Completion* left = nullptr;
  {
    Run run{completions};
    net::Cork cork{most_left_unsent};
    if (first != nullptr) first->run();
    completions.take_all([&run](Completion& completion) { run.append(completion); });
    for (int i = 0; i < most && run.first != nullptr && !completions.is_inherited(); ++i) {
      Completion& next = run.take();
      // What the last one asks for waits for no other, and takes along what those before have asked for.
      if (run.first == nullptr) cork.loosen();
      next.run();
    }
    left = run.first;
  }
  while (left != nullptr && !completions.is_inherited()) add(*std::exchange(left, left->next_));
}

void Poster::run_all(Completion& first) noexcept {
  if (Completions* const completions = present()) return run(*completions, &first);
  first.run();
}

void Poster::run(const std::shared_ptr<Completions>& completions) noexcept {
  if (!completions->is_inherited()) completions->poster.run(*completions, nullptr);
}

void Poster::abandon(const std::shared_ptr<Completions>& completions) noexcept {
  if (completions->is_inherited()) return;
  completions->take_all([](Completion& completion) { completion.abandon(); });
}

}  // namespace redismutex::detail
