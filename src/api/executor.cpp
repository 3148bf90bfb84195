#include <cstddef>
#include <exception>
#include <redismutex/executor.hpp>
#include <utility>

#include "net/cork.hpp"

namespace redismutex::detail {
namespace {

// Of many completions what the first ones ask for goes out while the others run: else the server would have nothing to do meanwhile, and then
// the loop. With 64 operations at a time this makes 1.7 to 2 times the pairs a second of one write for all (bench/async.cpp).
constexpr std::size_t most_left_unsent = 16;

}  // namespace

/// A Work that runs: what its completions complete goes along with it.
struct Poster::Run {
  const Poster& poster;
  Run* const outer = std::exchange(here, this);
  Completion* first = nullptr;
  Completion* last = nullptr;

  explicit Run(const Poster& whose) noexcept : poster{whose} {}
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

Poster::~Poster() = default;

/// The first one calls for a Work; those that come before that runs go along.
void Poster::add(Completion& completion) noexcept {
  if (Run::here != nullptr && &Run::here->poster == this) return Run::here->append(completion);
  const std::shared_ptr<Poster> self = weak_from_this().lock();  // what has completed may have been the last owner
  Completion* before = waiting_.load(std::memory_order_relaxed);
  do {
    completion.next_ = before;
  } while (!waiting_.compare_exchange_weak(before, &completion, std::memory_order_release, std::memory_order_relaxed));
  if (before != nullptr) return;
  try {
    post();
  } catch (...) {  // NOLINT(bugprone-empty-catch): the Work that was not taken has ended them
  }
}

template <class Each>
void Poster::take_all(const Each& each) noexcept {
  Completion* last = waiting_.exchange(nullptr, std::memory_order_acquire);
  Completion* first = nullptr;
  while (last != nullptr) {
    Completion* const before = std::exchange(last->next_, first);
    first = std::exchange(last, before);
  }
  while (first != nullptr) each(*std::exchange(first, first->next_));
}

/// Not for ever: others of the loop want to run, too.
void Poster::run_all(Completion* first) noexcept {
  constexpr int most = 256;
  Completion* left = nullptr;
  {
    Run run{*this};
    net::Cork cork{most_left_unsent};
    if (first != nullptr) first->run();
    take_all([&run](Completion& completion) { run.append(completion); });
    for (int i = 0; i < most && run.first != nullptr; ++i) {
      Completion& next = run.take();
      // What the last one asks for waits for no other, and takes along what those before have asked for.
      if (run.first == nullptr) cork.loosen();
      next.run();
    }
    left = run.first;
  }
  while (left != nullptr) add(*std::exchange(left, left->next_));
}

void Poster::abandon_all() noexcept {
  take_all([](Completion& completion) { completion.abandon(); });
}

}  // namespace redismutex::detail
