#include "faults/troubles.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include "faults/arena.hpp"
#include "faults/setting.hpp"

namespace redismutex::faults {
namespace {

using namespace std::chrono_literals;
using histories::Span;
using std::chrono::nanoseconds;
using testing::Direction;
using testing::Ending;

/// Does `body`, and says when.
template <class Body>
Span timed(const Arena& arena, Body body) {
  const nanoseconds from = arena.now();
  body();
  return {from, arena.now()};
}

std::string any_key(Arena& arena) { return std::string{lock_keys[arena.random.below(lock_keys.size())].name}; }

// ---- workers --------------------------------------------------------------------------------------------------------

void pause_worker(Arena& arena) {
  const std::size_t which = arena.random.below(Arena::workers);
  const Span span = timed(arena, [&] {
    arena.worker(which).pause();
    arena.wait_between(1ms, 1500ms);
    arena.worker(which).resume();
  });
  arena.note_disturbance(span, which);
}

/// So short that leases outlive it: what is hit is the order of things.
void pause_workers_briefly(Arena& arena) {
  for (int i = 0; i < 10; ++i) {
    const std::size_t which = arena.random.below(Arena::workers);
    const Span span = timed(arena, [&] {
      arena.worker(which).pause();
      arena.wait_between(0ms, 60ms);
      arena.worker(which).resume();
    });
    arena.note_disturbance(span, which);
    arena.wait_between(0ms, 20ms);
  }
}

void kill_worker(Arena& arena) { arena.replace_worker(arena.random.below(Arena::workers)); }

/// It dies while it stands still, and nothing of it moves for a while.
void kill_paused_worker(Arena& arena) {
  const std::size_t which = arena.random.below(Arena::workers);
  const Span span = timed(arena, [&] {
    arena.worker(which).pause();
    arena.wait_between(1ms, 300ms);
  });
  arena.note_disturbance(span, which);
  arena.replace_worker(which);
}

// ---- the server -----------------------------------------------------------------------------------------------------

void pause_server(Arena& arena) {
  arena.note_disturbance(timed(arena, [&] {
    arena.server().pause();
    arena.wait_between(1ms, 1200ms);
    arena.server().resume();
  }));
}

void fill_server(Arena& arena) {
  arena.note_disturbance(timed(arena, [&] {
    arena.server().command({"CONFIG", "SET", "maxmemory", "1"});
    arena.wait_between(1ms, 500ms);
    arena.server().command({"CONFIG", "SET", "maxmemory", "0"});
  }));
}

void flush_scripts(Arena& arena) {
  for (int i = 0; i < 10; ++i) {
    arena.note_disaster(timed(arena, [&] { arena.server().command({"SCRIPT", "FLUSH"}); }), {}, "script-flush");
    arena.wait_between(0ms, 30ms);
  }
}

void kill_connections(Arena& arena) {
  arena.note_disturbance(timed(arena, [&] {
    for (const char* type : {"normal", "pubsub"}) arena.server().command({"CLIENT", "KILL", "TYPE", type});
  }));
}

/// With those who wait in it.
void delete_line(Arena& arena) {
  const std::string key = any_key(arena);
  arena.note_disturbance(timed(arena, [&] { arena.server().command({"DEL", "redismutex:{" + key + "}"}); }));
}

// ---- the network ----------------------------------------------------------------------------------------------------

/// What `break_it` does to one of the proxies, for a while.
template <class Break>
void disturb_proxy(Arena& arena, Break break_it) {
  const std::size_t which = arena.random.below(2);
  const Span span = timed(arena, [&] {
    break_it(arena.proxy(which));
    arena.wait_between(1ms, 700ms);
    arena.proxy(which).pass();
  });
  for (const std::size_t worker : arena.workers_behind(which)) arena.note_disturbance(span, worker);
}

/// No network loses bytes in the middle of a stream: the connections that missed some end with the fault.
void lose(Arena& arena, Direction direction) {
  const std::size_t which = arena.random.below(2);
  testing::Proxy& proxy = arena.proxy(which);
  const Span span = timed(arena, [&] {
    proxy.swallow(direction);
    arena.wait_between(1ms, 700ms);
    proxy.refuse();
    proxy.cut_all(Ending::rst);
    proxy.pass();
  });
  for (const std::size_t worker : arena.workers_behind(which)) arena.note_disturbance(span, worker);
}

void lose_replies(Arena& arena) { lose(arena, Direction::replies); }

void lose_requests(Arena& arena) { lose(arena, Direction::requests); }

void delay_replies(Arena& arena) {
  const auto late = std::chrono::milliseconds{arena.random.between(1, 280)};
  disturb_proxy(arena, [late](testing::Proxy& proxy) { proxy.delay(Direction::replies, late); });
}

void delay_requests(Arena& arena) {
  const auto late = std::chrono::milliseconds{arena.random.between(1, 280)};
  disturb_proxy(arena, [late](testing::Proxy& proxy) { proxy.delay(Direction::requests, late); });
}

void half_open(Arena& arena) {
  disturb_proxy(arena, [](testing::Proxy& proxy) { proxy.freeze(); });
}

void refuse_connections(Arena& arena) {
  disturb_proxy(arena, [](testing::Proxy& proxy) {
    proxy.refuse();
    proxy.cut_all(Ending::rst);
  });
}

/// In the middle of a message, or between two.
void cut_connections(Arena& arena) {
  const auto direction = arena.random.chance(500'000) ? Direction::replies : Direction::requests;
  const auto ending = arena.random.chance(500'000) ? Ending::fin : Ending::rst;
  const std::size_t bytes = arena.random.below(1000);
  disturb_proxy(arena, [=](testing::Proxy& proxy) { proxy.cut_after(direction, bytes, ending); });
}

template <class Break>
void disturb_cable(Arena& arena, Break break_it) {
  const Span span = timed(arena, [&] {
    break_it(arena.partition());
    arena.wait_between(1ms, 900ms);
    arena.partition().heal();
  });
  for (const std::size_t worker : arena.workers_behind(0)) arena.note_disturbance(span, worker);
}

void cut_cable(Arena& arena) {
  disturb_cable(arena, [](Partition& partition) { partition.cut(); });
}

void cut_replies(Arena& arena) {
  disturb_cable(arena, [](Partition& partition) { partition.cut_from_here(); });
}

void cut_requests(Arena& arena) {
  disturb_cable(arena, [](Partition& partition) { partition.cut_to_here(); });
}

// ---- disasters ------------------------------------------------------------------------------------------------------

void delete_key(Arena& arena) {
  const std::string key = any_key(arena);
  arena.note_disaster(timed(arena, [&] { arena.server().command({"DEL", key}); }), key, "DEL");
}

void replace_key(Arena& arena) {
  const std::string key = any_key(arena);
  const auto set = [&] { arena.server().command({"SET", key, "somebody", "PX", "200"}); };
  const Span span = timed(arena, set);
  arena.note_disaster(span, key, "SET");
  arena.note_disturbance({span.from, span.to + 200ms});  // for so long nobody may be inside
}

void flush_all(Arena& arena) {
  arena.note_disaster(timed(arena, [&] { arena.server().command({"FLUSHALL"}); }), {}, "FLUSHALL");
}

void restart_empty(Arena& arena) {
  const Span span = timed(arena, [&] {
    arena.server().kill();
    arena.server().start();
  });
  arena.note_disturbance(span);
  arena.note_disaster(span, {}, "restart");
}

/// The server needs memory, and takes it from what has a TTL.
void evict(Arena& arena) {
  testing::Server& server = arena.server();
  const Span span = timed(arena, [&] {
    const long long used = std::stoll(server.info("memory").at("used_memory"));
    server.command({"CONFIG", "SET", "maxmemory-policy", "volatile-ttl"});
    server.command({"CONFIG", "SET", "maxmemory", std::to_string(used - 200'000)});
    arena.wait_between(1ms, 100ms);
    server.command({"CONFIG", "SET", "maxmemory", "0"});
    server.command({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
  });
  arena.note_disturbance(span);
  arena.note_disaster(span, {}, "eviction");
}

void fail_over(Arena& arena) { arena.fail_over(std::chrono::milliseconds{arena.random.between(0, 200)}); }

void kill_master(Arena& arena) { arena.depose_master(Arena::Fall::killed); }

void freeze_master(Arena& arena) { arena.depose_master(Arena::Fall::frozen); }

void fail_over_by_hand(Arena& arena) { arena.depose_master(Arena::Fall::by_hand); }

void move_slot(Arena& arena) { arena.move_slot(); }

/// Whatever has a lease that ends within the step loses it.
void step_clock_forward(Arena& arena) {
  if (arena.clock().offset() > 10s) return;  // floors are kept for a minute
  const nanoseconds step = arena.random.between(nanoseconds{1ms}, nanoseconds{3s});
  const Span span = timed(arena, [&] {
    arena.clock().set_offset(arena.clock().offset() + std::chrono::duration_cast<std::chrono::microseconds>(step));
  });
  arena.note_disaster(span, {}, "clock-step");
}

/// All leases get longer.
void step_clock_back(Arena& arena) {
  const nanoseconds step = arena.random.between(nanoseconds{1ms}, nanoseconds{1s});
  const Span span = timed(arena, [&] {
    arena.clock().set_offset(arena.clock().offset() - std::chrono::duration_cast<std::chrono::microseconds>(step));
  });
  arena.note_disturbance({span.from, span.to + step});
}

}  // namespace

const std::vector<Trouble> troubles_of_workers{{"worker paused", pause_worker},
                                               {"workers paused briefly", pause_workers_briefly},
                                               {"worker killed", kill_worker},
                                               {"paused worker killed", kill_paused_worker}};

const std::vector<Trouble> troubles_of_servers{{"server paused", pause_server},
                                               {"server full", fill_server},
                                               {"scripts flushed", flush_scripts},
                                               {"connections killed", kill_connections},
                                               {"line deleted", delete_line}};

const std::vector<Trouble> troubles_of_proxies{{"replies lost", lose_replies},
                                               {"requests lost", lose_requests},
                                               {"connections refused", refuse_connections},
                                               {"connections cut", cut_connections}};

const std::vector<Trouble> late_messages{
    {"replies late", delay_replies}, {"requests late", delay_requests}, {"half-open", half_open}};

const std::vector<Trouble> troubles_of_cables{
    {"partition", cut_cable}, {"partition of replies", cut_replies}, {"partition of requests", cut_requests}};

const std::vector<Trouble> disasters{{"key deleted", delete_key},
                                     {"key replaced", replace_key},
                                     {"FLUSHALL", flush_all},
                                     {"restarted empty", restart_empty},
                                     {"eviction", evict}};

const std::vector<Trouble> failovers{{"failover", fail_over}};

const std::vector<Trouble> depositions{
    {"master killed", kill_master}, {"master frozen", freeze_master}, {"failover by hand", fail_over_by_hand}};

const std::vector<Trouble> migrations{{"slot moved", move_slot}};

const std::vector<Trouble> clock_steps{{"clock forward", step_clock_forward}, {"clock back", step_clock_back}};

}  // namespace redismutex::faults
