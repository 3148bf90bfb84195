#include "sim/process.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <utility>

namespace redismutex::sim {

using namespace std::chrono_literals;

namespace {

protocol::OwnerId random_id(Random& random) {
  protocol::OwnerId::Entropy entropy;
  for (std::byte& byte : entropy) byte = static_cast<std::byte>(random.below(256));
  return protocol::OwnerId{entropy};
}

std::vector<std::string> copied(std::span<const std::string_view> arguments) {
  return {arguments.begin(), arguments.end()};
}

}  // namespace

Process::Process(World& world, int number, int threads)
    : world_{world},
      number_{number},
      threads_{threads},
      clock_{world.random.between(1h, 100h),
             world.random.between(-world.profile.clock_drift, world.profile.clock_drift)},
      channel_{"redismutex:wake:" + random_id(world.random).text()} {}

protocol::OwnerId Process::draw_id() { return random_id(world_.random); }

// ---- trouble --------------------------------------------------------------------------------------------------------

void Process::disturbed(Time duration) {
  for (int thread = 0; thread < threads_; ++thread) {
    world_.record({.kind = Event::Kind::disturbed,
                   .client = client(thread),
                   .until = duration == never ? never : world_.now() + duration});
  }
}

void Process::settled() {
  for (int thread = 0; thread < threads_; ++thread) {
    world_.record({.kind = Event::Kind::settled, .client = client(thread)});
  }
}

void Process::lose_connection() {
  if (!std::exchange(connection_lost_, true)) disturbed(never);
}

void Process::pause(Time duration) {
  disturbed(duration);
  paused_until_ = std::max(paused_until_, world_.now() + duration);
}

void Process::die(bool with_its_machine) {
  alive_ = false;
  disturbed(never);
  for (int thread = 0; thread < threads_; ++thread) {
    world_.record({.kind = Event::Kind::dead, .client = client(thread)});
  }
  if (link_) link_->abandon(with_its_machine ? world_.random.between(5s, 30s) : world_.random.between(0ms, 1ms));
}

void Process::cut() {
  if (!link_ || link_->broken() || connection_lost_) return;
  lose_connection();
  const auto how = static_cast<Link::Cut>(world_.random.below(3));
  const bool server_learns_late = world_.chance(300'000);
  world_.note("cut " + std::to_string(client(0)) + " kind " + std::to_string(static_cast<int>(how)));
  link_->cut(how, world_.chance(500'000),
             server_learns_late ? world_.random.between(1s, 30s) : world_.random.between(0ms, 50ms));
}

void Process::link_broke() {
  lose_connection();
  for (Box* box : boxes_) box->bell.ring();
}

Task<> Process::sleep(Bell& bell, Time until) {
  while (world_.now() < until) co_await bell.wait_until(until);
}

Task<> Process::point(Bell& bell) {
  if (!world_.chance(world_.profile.pauses)) co_return;
  const Time duration = world_.chance(500'000) ? world_.random.between(0ms, 20ms)
                                               : world_.random.between(0ms, world_.profile.longest_pause);
  disturbed(duration);
  co_await sleep(bell, world_.now() + duration);
}

void Process::spawn(Task<> thread) {
  running_.remove_if([](const Task<>& each) { return each.done(); });
  running_.push_back(std::move(thread));
  running_.back().start();
}

bool Process::idle() const {
  return !alive_ || std::all_of(running_.begin(), running_.end(), [](const Task<>& each) { return each.done(); });
}

// ---- the connection -------------------------------------------------------------------------------------------------

Task<bool> Process::dial(Bell& bell, Time deadline) {
  dialling_ = true;
  const Time answered_at = std::max(world_.now(), world_.server_paused_until()) +
                           world_.random.between(world_.profile.latency, 4 * world_.profile.latency);
  const Time until = std::min(answered_at, deadline);
  co_await sleep(bell, until);
  dialling_ = false;
  if (!world_.server_is_up() || deadline < answered_at) co_return false;
  if (std::exchange(connection_lost_, false)) settled();
  link_ = std::make_shared<Link>(world_, *this);
  link_->open();
  co_return true;
}

Task<std::variant<std::shared_ptr<Link>, Failure>> Process::link(Bell& bell, Time deadline, Stop* stop) {
  using Result = std::variant<std::shared_ptr<Link>, Failure>;
  const Time give_up = std::min(deadline, world_.now() + connect_timeout);
  for (;;) {
    if (link_ && !link_->broken()) co_return Result{link_};
    if (stop != nullptr && stop->requested) co_return Result{Failure::cancelled};
    if (world_.now() >= give_up) co_return Result{give_up == deadline ? Failure::timed_out : Failure::unreachable};
    bool tried = false;
    if (!dialling_) {
      tried = true;
      const bool reached = co_await dial(bell, give_up);
      if (reached) continue;
    }
    co_await bell.wait_until(std::min(give_up, world_.now() + (tried ? 50ms : 1ms)));
  }
}

Task<std::optional<Failure>> Process::send_and_wait(Bell& bell, const protocol::Request& request,
                                                    std::shared_ptr<Link> link, std::shared_ptr<Call> call,
                                                    Time deadline, Stop* stop) {
  call->bell = &bell;
  std::shared_ptr<Call> subscribed;
  std::vector<Link::Outgoing> commands;
  if (request.wants_wake_ups && subscribed_link_ != link->id()) {
    subscribed = std::make_shared<Call>();
    commands.push_back({subscribed, {"SUBSCRIBE", channel_}});
  } else if (request.wants_invalidation) {
    if (tracking_link_ != link->id()) commands.push_back({nullptr, {"CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"}});
    tracking_link_ = link->id();
    commands.push_back({nullptr, {"CLIENT", "CACHING", "YES"}});
  }
  commands.push_back({call, copied(request.arguments)});
  const Time overdue_at = world_.now() + command_timeout;
  link->send(std::move(commands));
  co_await point(bell);
  while (!call->answered && !link->broken() && !(stop != nullptr && stop->requested) &&
         world_.now() < std::min(deadline, overdue_at)) {
    co_await bell.wait_until(std::min(deadline, overdue_at));
  }
  call->bell = nullptr;
  if (subscribed && subscribed->answered) {
    if (subscribed->reply.kind == Value::Kind::error) {
      mailbox_refused_ = true;
    } else {
      subscribed_link_ = link->id();
    }
  }
  if (call->answered) co_return std::nullopt;
  if (link->broken()) co_return Failure::unreachable;
  if (stop != nullptr && stop->requested) co_return Failure::cancelled;
  if (deadline < overdue_at) co_return Failure::timed_out;
  link->fail();
  co_return Failure::unreachable;
}

Task<Process::Exchanged> Process::exchange(Bell& bell, const protocol::Request& request, Time deadline, Stop* stop,
                                           std::shared_ptr<Link>& used) {
  auto reached = co_await link(bell, deadline, stop);
  if (const auto* failure = std::get_if<Failure>(&reached)) co_return Exchanged{*failure};
  used = std::get<std::shared_ptr<Link>>(reached);
  protocol::Instant sent_at = now();
  co_await point(bell);
  auto call = std::make_shared<Call>();
  auto failure = co_await send_and_wait(bell, request, used, call, deadline, stop);
  if (!failure && request.script != nullptr && call->reply.text.starts_with("NOSCRIPT")) {
    std::vector<Link::Outgoing> loads;
    for (const protocol::Script* script : protocol::scripts::all) {
      loads.push_back({nullptr, {"SCRIPT", "LOAD", std::string{script->source}}});
    }
    used->send(std::move(loads));
    sent_at = now();
    co_await point(bell);
    call = std::make_shared<Call>();
    failure = co_await send_and_wait(bell, request, used, call, deadline, stop);
  }
  if (failure) co_return Exchanged{Unanswered{*failure}};
  co_return Exchanged{Answered{std::move(call->reply), sent_at}};
}

bool Process::post(const protocol::Request& request, std::shared_ptr<Call> call) {
  if (!link_ || link_->broken()) return false;
  link_->send({{std::move(call), copied(request.arguments)}});
  return true;
}

protocol::Answer Process::view(const Answered& answered) const {
  using Type = protocol::Answer::Type;
  const Value& reply = answered.reply;
  protocol::Answer answer{.sent_at = answered.sent_at, .now = now()};
  if (world_.mutant == Mutant::lease_from_reply) answer.sent_at = answer.now;
  switch (reply.kind) {
    case Value::Kind::nil: answer.type = Type::nothing; break;
    case Value::Kind::integer:
      answer.type = Type::integer;
      answer.integer = reply.integer;
      break;
    case Value::Kind::bulk:
    case Value::Kind::status:
      answer.type = Type::text;
      answer.text = reply.text;
      break;
    case Value::Kind::error:
      answer.type = Type::error;
      answer.text = reply.text;
      break;
    case Value::Kind::array:
      answer.type = Type::integers;
      for (std::size_t i = 0; i < std::min(reply.elements.size(), answer.integers.size()); ++i) {
        if (reply.elements[i].kind != Value::Kind::integer) answer.type = Type::other;
        answer.integers[i] = reply.elements[i].integer;
      }
      break;
    case Value::Kind::push: answer.type = Type::other; break;
  }
  return answer;
}

// ---- the mailroom ---------------------------------------------------------------------------------------------------

/// Whether it was stopped.
Task<bool> Process::wait(Bell& bell, Box& box, std::shared_ptr<Link> link, Time deadline, Stop* stop) {
  while (!box.grant && !box.changed && !link->broken() && world_.now() < deadline) {
    if (stop != nullptr && stop->requested) co_return true;
    co_await bell.wait_until(deadline);
  }
  co_return false;
}

void Process::deliver(const Value& push) {
  const std::string& kind = push.elements.front().text;
  if (kind == "message") {
    std::istringstream message{push.elements[2].text};
    std::string id;
    std::int64_t claim_ms = 0, now_us = 0;
    message >> id >> claim_ms >> now_us;
    for (Box* box : boxes_) {
      if (box->id != id) continue;
      box->grant = protocol::Grant{.claim = std::chrono::milliseconds{claim_ms},
                                   .granted_at = std::chrono::microseconds{now_us},
                                   .arrived = now()};
      box->bell.ring();
    }
  }
  if (kind != "invalidate") return;
  const Value& keys = push.elements[1];
  for (Box* box : boxes_) {
    const bool concerned =
        keys.kind != Value::Kind::array ||
        std::any_of(keys.elements.begin(), keys.elements.end(), [&](const Value& key) { return key.text == box->key; });
    if (!concerned) continue;
    box->changed = true;
    box->bell.ring();
  }
}

}  // namespace redismutex::sim
