#include "sim/background.hpp"

#include <algorithm>
#include <utility>

#include "sim/process.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;
using protocol::Instant;

Background::Background(Process& process, Peer& peer)
    : process_{process}, peer_{peer}, duty_bell_{process.world(), process}, listen_bell_{process.world(), process} {}

// ---- operations -----------------------------------------------------------------------------------------------------

namespace {

/// Knows what wakes it as long as it is driven: its process may be killed at any time.
class Awake {
 public:
  Awake(route::Background::Operation& operation, Bell& bell) noexcept : operation_{operation} {
    operation_.note_waker(&bell);
  }
  Awake(const Awake&) = delete;
  Awake& operator=(const Awake&) = delete;
  ~Awake() { operation_.note_waker(nullptr); }

 private:
  route::Background::Operation& operation_;
};

}  // namespace

void Background::start(std::shared_ptr<Operation> operation) {
  if (!ended_) process_.spawn_servant(operate(std::move(operation)));
}

Task<> Background::operate(std::shared_ptr<Operation> given) {
  const std::shared_ptr<Operation> operation = std::move(given);
  Bell bell{process_.world(), process_};
  const Awake awake{*operation, bell};
  co_await bell.wait_until(process_.world().now() + process_.world().random.between(0us, 20us));
  co_await peer_.drive(bell, operation->procedure());
  operation->over(Operation::End::done);
  process_.note_leases();
}

// ---- duties ---------------------------------------------------------------------------------------------------------

Background::Enlisted* Background::find(const Duty& duty) noexcept {
  const auto place = std::find_if(duties_.begin(), duties_.end(), [&](const auto& each) { return each.duty == &duty; });
  return place == duties_.end() ? nullptr : &*place;
}

void Background::enlist(Duty& duty) {
  if (ended_) return;
  duties_.push_back({&duty, Instant::max()});
  if (!std::exchange(begun_, true)) process_.spawn_servant(see_to_duties());
}

void Background::call(Duty& duty, Instant at) noexcept {
  Enlisted* const enlisted = find(duty);
  if (enlisted == nullptr || enlisted->due <= at) return;
  enlisted->due = at;
  duty_bell_.wake();
}

void Background::withdraw(Duty& duty) noexcept {
  std::erase_if(duties_, [&](const auto& each) { return each.duty == &duty; });
}

Time Background::next_due() const {
  Instant next = Instant::max();
  for (const Enlisted& each : duties_) next = std::min(next, each.due);
  return process_.when(next);
}

Task<> Background::see_to_duties() {
  for (;;) {
    duty_bell_.take_news();
    for (Time next = next_due(); process_.world().now() < next; next = next_due()) {
      co_await duty_bell_.wait_until(next);
    }
    co_await process_.point(duty_bell_);
    const Instant now = process_.now();
    std::vector<Duty*> due;
    for (Enlisted& each : duties_) {
      if (each.due <= now) due.push_back(each.duty);
    }
    for (Duty* duty : due) {
      Enlisted* enlisted = find(*duty);
      if (enlisted == nullptr) continue;  // withdrawn meanwhile
      enlisted->due = Instant::max();
      const Instant again = duty->run(now);
      enlisted = find(*duty);
      if (enlisted != nullptr) enlisted->due = std::min(enlisted->due, again);
    }
    process_.note_leases();
  }
}

// ---- the connection -------------------------------------------------------------------------------------------------

void Background::listen(bool wanted) noexcept {
  listen_wanted_ = wanted;
  if (ended_) return;
  listen_bell_.wake();
  if (wanted && !std::exchange(listening_, true)) process_.spawn_servant(keep_connected());
}

Task<> Background::keep_connected() {
  for (;;) {
    while (!listen_wanted_) co_await listen_bell_.wait_until(never);
    const auto reached = co_await peer_.reach(listen_bell_, process_.world().now() + Peer::connect_timeout, nullptr);
    const auto* link = std::get_if<std::shared_ptr<Link>>(&reached);
    if (link == nullptr) {
      co_await process_.sleep(listen_bell_, process_.world().now() + process_.world().random.between(1ms, 500ms));
      continue;
    }
    (*link)->add_reader(listen_bell_);
    while (listen_wanted_ && !(*link)->broken()) co_await listen_bell_.wait_until(never);
    (*link)->remove_reader(listen_bell_);
  }
}

bool Background::take_in_pushes(route::Server& /*server*/) noexcept {
  const auto link = peer_.present_link();
  if (link) link->read_now();
  return link != nullptr;
}

}  // namespace redismutex::sim
