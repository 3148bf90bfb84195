#include "sim/link.hpp"

#include <algorithm>
#include <utility>

#include "sim/peer.hpp"
#include "sim/process.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;

void Link::open() { connection_ = world_.connect(shared_from_this()); }

/// When what is sent now arrives: not before what was sent earlier in the same direction.
Time Link::arrival(Time& last) {
  Time delay = world_.random.between(world_.profile.latency / 10, world_.profile.latency);
  if (world_.chance(world_.profile.late_messages)) {
    delay = world_.random.between(1ms, 2s);
    process_.disturbed(delay + world_.profile.latency, "message-late");
  }
  last = std::max(last, world_.now() + delay);
  return last;
}

void Link::send(std::vector<Outgoing> commands) {
  if (!arrived_.empty()) plan_reading();
  // Sent together, they arrive together.
  const Time due = arrival(last_up_);
  for (Outgoing& outgoing : commands) {
    if (broken_) {
      if (outgoing.call && outgoing.call->bell != nullptr) outgoing.call->bell->ring();
      continue;
    }
    in_flight_.push_back(std::move(outgoing.call));
    if (!sends_work_) continue;
    world_.agenda.at(due, [self = shared_from_this(), command = std::move(outgoing.command)] {
      if (self->up_works_) self->world_.execute(self->connection_, command);
    });
  }
}

void Link::server_sends(Value value) {
  if (!down_works_) return;
  world_.agenda.at(arrival(last_down_),
                   [self = shared_from_this(), value = std::move(value)]() mutable { self->arrive(std::move(value)); });
}

/// It is in the kernel now. It is read when the process runs, and a thread of it has come to it.
void Link::arrive(Value value) {
  if (broken_ || !down_works_) return;
  arrived_.push_back(std::move(value));
  if (!in_flight_.empty() || !readers_.empty()) plan_reading();
}

void Link::plan_reading() {
  if (std::exchange(reading_planned_, true)) return;
  Time lag = world_.random.between(0us, 20us);
  if (world_.chance(world_.profile.late_reads)) {
    lag = world_.random.between(1ms, 2s);
    process_.disturbed(lag, "message-read-late");
  }
  world_.agenda.after(lag, [self = shared_from_this()] { self->read(); });
}

void Link::read() {
  if (!process_.alive()) return;
  if (process_.paused_until() > world_.now()) {
    world_.agenda.at(process_.paused_until(), [self = shared_from_this()] { self->read(); });
    return;
  }
  reading_planned_ = false;
  read_now();
}

void Link::read_now() {
  while (!arrived_.empty() && !broken_) {
    Value value = std::move(arrived_.front());
    arrived_.pop_front();
    take_in(std::move(value));
  }
}

void Link::take_in(Value value) {
  if (value.kind == Value::Kind::push && !value.elements.front().text.ends_with("subscribe")) {
    peer_.take_push(value);
    return;
  }
  if (in_flight_.empty()) {
    world_.record({.kind = Event::Kind::disaster, .note = "an-answer-that-nobody-asked-for"});
    return;
  }
  const auto call = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (call) {
    call->answered = true;
    call->reply = std::move(value);
    if (call->bell != nullptr) call->bell->ring();
  }
  if (refusal_ && in_flight_.empty()) close();
}

void Link::add_reader(Bell& bell) {
  readers_.push_back(&bell);
  if (!arrived_.empty()) plan_reading();
}

void Link::remove_reader(Bell& bell) { readers_.erase(std::find(readers_.begin(), readers_.end(), &bell)); }

void Link::fail() {
  if (std::exchange(broken_, true)) return;
  for (const auto& call : std::exchange(in_flight_, {})) {
    if (call && call->bell != nullptr) call->bell->ring();
  }
  for (Bell* bell : readers_) bell->ring();
  peer_.link_broke(*this);
}

void Link::retire(std::string refusal) {
  refusal_ = std::move(refusal);
  if (in_flight_.empty()) close();
}

void Link::cut(Cut how, bool requests_arrive, Time server_learns) {
  down_works_ = false;
  sends_work_ = how == Cut::deaf;
  up_works_ = sends_work_ || requests_arrive;
  world_.agenda.after(server_learns, [self = shared_from_this()] {
    self->up_works_ = false;
    self->world_.disconnect(self->connection_);
  });
  if (how == Cut::reset) fail();
}

void Link::abandon(Time server_learns) {
  broken_ = true;
  in_flight_.clear();
  world_.agenda.after(server_learns, [self = shared_from_this()] { self->world_.disconnect(self->connection_); });
}

void Link::close() {
  fail();
  world_.agenda.after(world_.random.between(Time{0}, world_.profile.latency),
                      [self = shared_from_this()] { self->world_.disconnect(self->connection_); });
}

void Link::server_was_demoted() {
  if (usable()) peer_.stays_at_a_demoted_server();
}

void Link::reset_by_server() {
  sends_work_ = up_works_ = down_works_ = false;
  fail();
}

}  // namespace redismutex::sim
