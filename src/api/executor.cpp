#include <exception>
#include <redismutex/executor.hpp>
#include <utility>

namespace redismutex::api {

Poster::~Poster() = default;

/// The first one calls for a Work; those that come before that runs go along.
void Poster::add(Completion& completion) noexcept {
  const std::shared_ptr<Poster> self = shared_from_this();  // what has completed may have been the last owner
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

void Poster::run_all() noexcept {
  take_all([](Completion& completion) { completion.run(); });
}

void Poster::abandon_all() noexcept {
  take_all([](Completion& completion) { completion.abandon(); });
}

}  // namespace redismutex::api
