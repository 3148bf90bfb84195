// Each allocation of a caller fails once: nobody goes on with what that has broken, and nothing stays behind.

#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "support/allocations.hpp"
#include "unit/engine/callers.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using testing::Process;

/// Drives an acquisition by hand, as far as it goes without waiting.
class Driver {
 public:
  /// So many allocations within the engine succeed before one fails; below zero, all.
  Driver(Process& process, Wishes wants, int allocations)
      : process_{process},
        left_{allocations},
        acquisition_{std::make_unique<Acquisition>(process.session, protocol::Key{"key"}, std::move(wants), relay_)} {}

  void start() {
    carry_out([this] { return acquisition_->start(process_.now()); });
    go_on();
  }
  void wake() {
    if (!is_over()) tell(route::Procedure::Woken{});
    go_on();
  }

  bool is_over() const { return failed_ || std::holds_alternative<route::Procedure::Done>(step_); }
  bool has_failed() const { return failed_; }
  bool has_it() {
    if (failed_ || !is_over()) return false;
    if (!outcome_) outcome_ = acquisition_->take_outcome();
    return std::holds_alternative<Acquisition::Granted>(*outcome_);
  }
  void give_back_all() {
    if (has_it()) {
      auto& granted = std::get<Acquisition::Granted>(*outcome_);
      give_back(process_.session, granted.lease, granted.turn, granted.ticket);
    }
    acquisition_.reset();
  }

 private:
  template <class Work>
  void carry_out(const Work& work) {
    redismutex::testing::allocations_left = left_;
    try {
      step_ = work();
    } catch (const std::bad_alloc&) {  // as was provoked
      failed_ = true;
    }
    left_ = std::exchange(redismutex::testing::allocations_left, -1);
  }
  void tell(route::Procedure::Event event) {
    carry_out([&] { return acquisition_->resume(std::move(event), process_.now()); });
  }

  void go_on() {
    while (!is_over()) {
      if (std::holds_alternative<route::Procedure::Reach>(step_)) {
        if (process_.server().link == 0) process_.world.connect();
        tell(route::Procedure::Reached{process_.server().link});
      } else if (const auto* send = std::get_if<route::Procedure::Send>(&step_)) {
        ask(*send);
      } else {
        return;
      }
    }
  }
  void ask(const route::Procedure::Send& send) {
    std::vector<testing::Reply> replies;
    for (const auto& command : send.commands) {
      if (command.arguments.empty()) {
        failed_ = true;
        FAIL() << "that is no command";
      }
      auto reply = process_.server().carry_out({command.arguments.begin(), command.arguments.end()});
      if (command.wanted) replies.push_back(std::move(reply));
    }
    std::vector<protocol::Answer> answers;
    for (const auto& reply : replies) answers.push_back(reply.view());
    tell(route::Procedure::Answered{answers});
  }

  Process& process_;
  int left_;
  testing::Relay relay_;
  std::unique_ptr<Acquisition> acquisition_;
  route::Procedure::Step step_;
  bool failed_ = false;
  std::optional<Acquisition::Outcome> outcome_;
};

/// `expects_line`: the lock was taken the last time, so that the place in line is described first of all. Whether anything failed.
bool one_fails(int nth, bool expects_line, bool is_taken, Replicas replicas) {
  Process process;
  process.server().replicas = process.server().connected = 1;
  process.session.contended(protocol::Key{"key"}) = expects_line;
  if (is_taken) process.server().store("key", "another", 1s);
  auto wants = testing::wishes(process.now() + 60s);
  wants.replicas = replicas;
  Driver first{process, wants, nth};
  Driver second{process, wants, -1};
  first.start();
  if (first.has_failed()) {
    second.start();
    first.give_back_all();
  } else {
    second.start();
  }
  process.world.run_for(2s);
  process.server().remove("key");
  first.wake();
  if (first.has_it()) first.give_back_all();
  const bool failed = first.has_failed();
  if (failed) first.give_back_all();
  for (int i = 0; i < 10 && !second.is_over(); ++i) {
    process.world.run_for(2s);
    second.wake();
  }
  EXPECT_TRUE(second.has_it()) << nth;
  second.give_back_all();
  process.world.run_for(10s);
  EXPECT_TRUE(process.server().keys.empty()) << nth;
  EXPECT_TRUE(process.server().lines["redismutex:{key}"].empty()) << nth;
  return failed;
}

TEST(ScarceMemory, EachAllocationOfTheFirstInLine) {
  for (const bool expects_line : {false, true}) {
    for (const bool is_taken : {false, true}) {
      for (const Replicas replicas : {Replicas{}, Replicas{1}, Replicas::all}) {
        int nth = 0;
        while (one_fails(nth, expects_line, is_taken, replicas)) ++nth;
        EXPECT_GE(nth, 3);
      }
    }
  }
}

}  // namespace
}  // namespace redismutex::engine
