#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "route/environment.hpp"
#include "route/waker.hpp"
#include "route/workroom.hpp"

namespace redismutex::route {

struct Workroom::Progress {
  std::shared_ptr<Operation> operation;
  Operations::iterator place{};
  State state = State::fresh;
  Operation::End end = Operation::End::done;           // of one that is over
  std::optional<Procedure::Step> next_step;            // of one that is fresh, if it has begun elsewhere
  Way* way = nullptr;                                  // to the server that it has reached, or wants to reach
  protocol::Instant until = protocol::Instant::max();  // then it goes on, or gives up waiting
  protocol::Instant since{};                           // it waits
  std::shared_ptr<net::Link> link;
  std::size_t wanted = 0;  // answers
  bool listens = false;    // while it sleeps, on its link
  bool has_news = false;   // it was woken when it did not sleep

  // Guarded by the room's mutex.
  Running* next = nullptr;   // of those that are answered
  bool is_answered = false;  // the thread that had its answers is through
  Running* next_woken = nullptr;
  bool is_woken = false;     // is among those
  bool is_admitted = false;  // the rounds know it
  bool was_woken = false;    // before that
};

struct Workroom::Running final : public Waker, public Workroom::Progress {
  explicit Running(Workroom& where) noexcept : room{where} {}

  /// From now on it is this operation's, or nobody's; with no lock held.
  void belong_to(std::shared_ptr<Operation> what) noexcept {
    static_cast<Progress&>(*this) = {};
    operation = std::move(what);
  }

  /// For the next one: of what its answers needed no more is kept than most need.
  void become_spare() noexcept {
    belong_to(nullptr);
    if (calls.size() > Procedure::most_wanted) calls.resize(Procedure::most_wanted);
    for (const std::unique_ptr<Call>& call : calls) call->renew();
  }

  struct Call final : net::Call {
    explicit Call(Running& whose) noexcept
        : net::Call{[](net::Call& call) noexcept { static_cast<Call&>(call).running.note_one(); }}, running{whose} {}

    /// It is as new.
    void renew() noexcept {
      Running& whose = running;
      std::destroy_at(this);
      std::construct_at(this, whose);
    }

    Running& running;
  };

  /// One of its calls is over. The last one is noted with the lock; before that it must not go.
  void note_one() noexcept {
    if (open.fetch_sub(1) == 1) room.note_answered(*this);
  }

  void wake() noexcept override { room.note_woken(*this); }

  /// Its answers will be waited for. Throws std::bad_alloc.
  void get_ready_for(const Procedure::Send& send) {
    const std::size_t count = count_wanted(send);
    while (calls.size() < count) calls.push_back(std::make_unique<Call>(*this));
    for (std::size_t i = 0; i < count; ++i) calls[i]->renew();
    wanted = count;
    open = wanted;
    is_answered = false;
    state = State::sending;
    since = now();
    until = send.until;
  }

  /// Takes back what is under way. Whether nobody will come back to it.
  bool withdraw() noexcept {
    std::size_t withdrawn = 0;
    for (std::size_t i = 0; i < wanted; ++i) {
      if (link->withdraw(*calls[i])) ++withdrawn;
    }
    return withdrawn > 0 && open.fetch_sub(withdrawn) == withdrawn;
  }

  Workroom& room;
  std::vector<std::unique_ptr<Call>> calls;  // made when it sends: many only wait, ten thousand perhaps
  std::atomic<std::size_t> open{0};          // of the calls that are wanted
};

/// `next`: returns the procedure's next step. What that throws ends the operation.
template <class Next>
void Workroom::advance(Running& running, const Next& next) noexcept {
  end_wait(running);
  try {
    return carry_out(running, next(running.operation->procedure()));
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see below
  }
  end(running, Operation::End::abandoned);
}

/// What `event` returns, which may throw as well.
template <class MakeEvent>
void Workroom::tell(Running& running, const MakeEvent& event) noexcept {
  advance(running, [&](Procedure& procedure) { return procedure.resume(event(), now()); });
}

}  // namespace redismutex::route
