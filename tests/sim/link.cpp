#include "sim/link.hpp"

#include <algorithm>
#include <utility>

#include "protocol/verdict.hpp"
#include "sim/process.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;

namespace {

protocol::Verdict verdict(const Value& reply) {
  return reply.kind == Value::Kind::error ? protocol::verdict(reply.text) : protocol::Verdict::tell;
}

}  // namespace

bool is_not_carried_out(const Value& reply) {
  return verdict(reply) == protocol::Verdict::repeat || verdict(reply) == protocol::Verdict::leave;
}

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
  // Sent together, they arrive together.
  const Time due = arrival(last_up_);
  for (Outgoing& outgoing : commands) {
    if (broken_) {
      if (outgoing.call && outgoing.call->bell != nullptr) outgoing.call->bell->ring();
      continue;
    }
    if (outgoing.call) outgoing.call->is_wanted = true;
    in_flight_.push_back(outgoing.call ? outgoing.call : std::make_shared<Call>());
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
  while (!arrived_.empty() && !broken_) {
    Value value = std::move(arrived_.front());
    arrived_.pop_front();
    if (value.kind == Value::Kind::push && !value.elements.front().text.ends_with("subscribe")) {
      process_.deliver(value);
      continue;
    }
    if (in_flight_.empty()) {
      world_.record({.kind = Event::Kind::disaster, .note = "an-answer-that-nobody-asked-for"});
      return;
    }
    const auto call = std::move(in_flight_.front());
    in_flight_.pop_front();
    call->answered = true;
    call->reply = std::move(value);
    if (call->bell != nullptr) call->bell->ring();
    if (call->on_reply) call->on_reply();
    // Only where somebody looks at the answer.
    if (call->is_wanted && verdict(call->reply) == protocol::Verdict::leave) close();
  }
}

void Link::fail() {
  if (std::exchange(broken_, true)) return;
  for (const auto& call : std::exchange(in_flight_, {})) {
    if (call->bell != nullptr) call->bell->ring();
  }
  process_.link_broke();
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
  if (!broken_) process_.stays_at_a_demoted_server();
}

void Link::reset_by_server() {
  sends_work_ = up_works_ = down_works_ = false;
  fail();
}

}  // namespace redismutex::sim
