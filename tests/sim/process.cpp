#include "sim/process.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <utility>

namespace redismutex::sim {

using namespace std::chrono_literals;

namespace {

protocol::OwnerId random_id(Random& random) {
  return protocol::OwnerId{{.tag = {random.next()}, .random = random.next()}};
}

std::string draw_channel(Random& random) {
  constexpr std::string_view letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string name = "redismutex:wake:";
  for (int i = 0; i < 10; ++i) name += letters[random.below(letters.size())];
  return name;
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
      channel_{draw_channel(world.random)},
      prefers_plain_channels_{world.random.chance(200'000)},
      renews_together_{world.random.chance(400'000)} {}

protocol::OwnerId Process::draw_id() { return random_id(world_.random); }

// ---- trouble --------------------------------------------------------------------------------------------------------

void Process::disturbed(Time duration, const char* how) {
  for (int thread = 0; thread < threads_; ++thread) {
    world_.record({.kind = Event::Kind::disturbed,
                   .client = client(thread),
                   .until = duration == never ? never : world_.now() + duration,
                   .note = how});
  }
}

void Process::settled() {
  for (int thread = 0; thread < threads_; ++thread) {
    world_.record({.kind = Event::Kind::settled, .client = client(thread)});
  }
}

void Process::lose_connection(const char* how) {
  if (!std::exchange(connection_lost_, true)) disturbed(never, how);
}

void Process::pause(Time duration) {
  disturbed(duration, "process-paused");
  paused_until_ = std::max(paused_until_, world_.now() + duration);
}

void Process::die(bool with_its_machine) {
  alive_ = false;
  disturbed(never, with_its_machine ? "machine-died" : "killed");
  for (int thread = 0; thread < threads_; ++thread) {
    world_.record({.kind = Event::Kind::dead, .client = client(thread)});
  }
  if (link_) link_->abandon(with_its_machine ? world_.random.between(5s, 30s) : world_.random.between(0ms, 1ms));
}

void Process::cut() {
  if (!link_ || link_->broken() || connection_lost_) return;
  static constexpr std::array<const char*, 3> names{"connection-reset", "connection-silent", "connection-deaf"};
  const auto how = static_cast<Link::Cut>(world_.random.below(names.size()));
  lose_connection(names[static_cast<std::size_t>(how)]);
  const bool server_learns_late = world_.chance(300'000);
  link_->cut(how, world_.chance(500'000),
             server_learns_late ? world_.random.between(1s, 30s) : world_.random.between(0ms, 50ms));
}

void Process::link_broke() {
  lose_connection("connection-broke");
  for (Box* box : boxes_) box->bell.ring();
}

Task<> Process::sleep(Bell& bell, Time until) {
  while (world_.now() < until) co_await bell.wait_until(until);
}

Task<> Process::point(Bell& bell) {
  if (!world_.chance(world_.profile.pauses)) co_return;
  const Time duration = world_.chance(500'000) ? world_.random.between(0ms, 20ms)
                                               : world_.random.between(0ms, world_.profile.longest_pause);
  disturbed(duration, "thread-paused");
  co_await sleep(bell, world_.now() + duration);
}

void Process::spawn(Task<> thread) {
  running_.remove_if([](const Task<>& each) { return each.done(); });
  running_.push_back(std::move(thread));
  running_.back().start();
}

void Process::spawn_servant(Task<> thread) {
  servants_.push_back(std::move(thread));
  servants_.back().start();
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
  if (link_) channel_ = draw_channel(world_.random);  // of an old connection no more
  link_ = std::make_shared<Link>(world_, *this);
  link_->open();
  caretaker_.all_changed();  // the server tracks for a connection, and forgets with it
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

/// As Session::open_pushes.
Task<> Process::open_pushes(Bell& bell, std::shared_ptr<Link> link, Time deadline, Stop* stop) {
  const auto subscribed = std::make_shared<Call>();
  const auto tracked = std::make_shared<Call>();
  link->send({{subscribed, {is_sharded() ? "SSUBSCRIBE" : "SUBSCRIBE", channel_}},
              {tracked, {"CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"}}});
  const auto first = co_await await_answer(bell, link, subscribed, deadline, stop);
  const auto second = co_await await_answer(bell, link, tracked, deadline, stop);
  if (first || second) co_return;
  pushing_link_ = link->id();
  mailbox_refused_ = mailbox_refused_ || subscribed->reply.kind == Value::Kind::error;
  tracking_refused_ = tracking_refused_ || tracked->reply.kind == Value::Kind::error;
}

void Process::send(Link& link, const protocol::Request& request, std::shared_ptr<Call> call,
                   std::shared_ptr<Call> next) {
  const bool watches = world_.mutant != Mutant::never_watches || request.script != nullptr;
  std::vector<Link::Outgoing> commands;
  const auto add = [&](std::vector<std::string> command) { commands.push_back({nullptr, std::move(command)}); };
  if (request.wants_invalidation && !tracking_refused_ && watches) add({"CLIENT", "CACHING", "YES"});
  if (request.joined.empty()) {
    for (int i = 0; i < request.times; ++i) add(copied(request.arguments));
  } else {
    add({"MULTI"});
    add(copied(request.arguments));
    for (const protocol::Arguments joined : request.joined) add(copied(joined));
    add({"EXEC"});
  }
  commands.back().call = std::move(call);
  if (!request.next.empty()) commands.push_back({std::move(next), copied(request.next)});
  link.send(std::move(commands));
}

Task<std::optional<Failure>> Process::send_and_wait(Bell& bell, const protocol::Request& request,
                                                    std::shared_ptr<Link> link, Calls calls, Time deadline,
                                                    Stop* stop) {
  const bool wants_pushes = (request.wants_wake_ups || request.wants_invalidation) && pushing_link_ != link->id();
  const bool late = world_.mutant == Mutant::subscribes_late;
  if (wants_pushes && !late) co_await open_pushes(bell, link, deadline, stop);
  send(*link, request, calls.main, calls.next);
  co_await point(bell);
  auto failure = co_await await_answer(bell, link, calls.main, deadline, stop);
  if (!failure && !request.next.empty()) failure = co_await await_answer(bell, link, calls.next, deadline, stop);
  if (wants_pushes && late) co_await open_pushes(bell, link, deadline, stop);
  co_return failure;
}

Task<std::optional<Failure>> Process::await_answer(Bell& bell, std::shared_ptr<Link> link, std::shared_ptr<Call> call,
                                                   Time deadline, Stop* stop) {
  call->bell = &bell;
  const Time overdue_at = world_.now() + command_timeout;
  while (!call->answered && !link->broken() && !(stop != nullptr && stop->requested) &&
         world_.now() < std::min(deadline, overdue_at)) {
    co_await bell.wait_until(std::min(deadline, overdue_at));
  }
  call->bell = nullptr;
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
  Calls calls;
  auto failure = co_await send_and_wait(bell, request, used, calls, deadline, stop);
  if (!failure && request.script != nullptr && calls.main->reply.text.starts_with("NOSCRIPT")) {
    std::vector<Link::Outgoing> loads;
    for (const protocol::Script* script : protocol::scripts::all) {
      loads.push_back({nullptr, {"SCRIPT", "LOAD", std::string{script->source}}});
    }
    used->send(std::move(loads));
    sent_at = now();
    co_await point(bell);
    calls = Calls{};
    failure = co_await send_and_wait(bell, request, used, calls, deadline, stop);
  }
  if (failure) co_return Exchanged{Unanswered{*failure}};
  co_return Exchanged{Answered{std::move(calls.main->reply), sent_at, calls.next->reply.integer}};
}

bool Process::post(const protocol::Request& request, std::shared_ptr<Call> call) {
  if (!link_ || link_->broken()) return false;
  send(*link_, request, std::move(call));
  return true;
}

namespace {

/// Adds the texts of a list, and of the lists in it. Whether there was nothing else.
bool add_texts(const Value& list, std::vector<std::optional<std::string_view>>& texts) {
  for (const Value& element : list.elements) {
    switch (element.kind) {
      case Value::Kind::nil: texts.emplace_back(std::nullopt); break;
      case Value::Kind::bulk:
      case Value::Kind::status: texts.emplace_back(element.text); break;
      case Value::Kind::array:
        if (!add_texts(element, texts)) return false;
        break;
      default: return false;
    }
  }
  return true;
}

void view_list(const Value& list, protocol::Answer& answer) {
  using Type = protocol::Answer::Type;
  if (std::all_of(list.elements.begin(), list.elements.end(),
                  [](const Value& element) { return element.kind == Value::Kind::integer; })) {
    answer.type = Type::integers;
    for (const Value& element : list.elements) answer.integers.push_back(element.integer);
  } else {
    answer.type = add_texts(list, answer.texts) ? Type::texts : Type::other;
  }
}

}  // namespace

protocol::Answer Process::view(const Answered& answered) const {
  using Type = protocol::Answer::Type;
  const Value& reply = answered.reply;
  protocol::Answer answer{.next = answered.next, .sent_at = answered.sent_at, .now = now()};
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
    case Value::Kind::array: view_list(reply, answer); break;
    case Value::Kind::real:
    case Value::Kind::push: answer.type = Type::other; break;
  }
  // What stood at the floor.
  if (world_.mutant == Mutant::takes_no_floor && answer.texts.size() == 4) answer.texts[1].reset();
  return answer;
}

// ---- the mailroom ---------------------------------------------------------------------------------------------------

protocol::Release::Deletion Process::deletion() const {
  using Deletion = protocol::Release::Deletion;
  switch (world_.conduct().deletion) {
    case Server::Conduct::Deletion::delifeq: return Deletion::by_delifeq;
    case Server::Conduct::Deletion::delex: return Deletion::by_delex;
    default: return Deletion::by_script;
  }
}

/// Whether it was stopped.
Task<bool> Process::wait(Bell& bell, Box& box, std::shared_ptr<Link> link, Time deadline, Stop* stop) {
  while (!box.has_mail() && !link->broken() && world_.now() < deadline) {
    if (stop != nullptr && stop->requested) co_return true;
    co_await bell.wait_until(deadline);
  }
  co_return false;
}

void Process::add(Box& box) {
  boxes_.push_back(&box);
  if (!renews_together_) return;
  place_bell_.ring();
  if (!std::exchange(renewing_places_, true)) spawn_servant(renew_places());
}

void Process::deliver(const Value& push) {
  const std::string& kind = push.elements.front().text;
  if (kind.ends_with("message")) take_message(push.elements[2].text);
  if (kind != "invalidate") return;
  const Value& keys = push.elements[1];
  if (keys.kind == Value::Kind::array) {
    for (const Value& key : keys.elements) key_changed(key.text);
    return;
  }
  for (Box* box : boxes_) {
    box->changed = true;
    box->bell.ring();
  }
  caretaker_.all_changed();
}

/// "id claim seconds microseconds token", or "id first claim".
void Process::take_message(const std::string& message) {
  std::istringstream words{message};
  std::string id, second;
  std::int64_t claim_ms = 0, now_s = 0, now_us = 0;
  std::uint64_t token = 0;
  words >> id >> second;
  const bool tells_first = second == "first";
  if (tells_first) {
    words >> claim_ms;
  } else {
    claim_ms = std::stoll(second);
    words >> now_s >> now_us >> token;
  }
  for (Box* box : boxes_) {
    if (box->id.text() != id) continue;
    if (tells_first) {
      box->first = std::chrono::milliseconds{claim_ms};
    } else {
      box->grant = protocol::Grant{.claim = std::chrono::milliseconds{claim_ms},
                                   .granted_at = std::chrono::seconds{now_s} + std::chrono::microseconds{now_us},
                                   .token = token,
                                   .arrived = now()};
    }
    box->bell.ring();
  }
}

void Process::key_changed(const std::string& key) {
  for (Box* box : boxes_) {
    if (box->key.text() != key) continue;
    box->changed = true;
    box->bell.ring();
  }
  caretaker_.key_changed(key);
}

/// A servant: renews the places of all who wait, before each would do so by itself.
Task<> Process::renew_places() {
  struct Place {
    Box* box;
    protocol::OwnerId id;
    std::string details;
  };
  for (;;) {
    Time next = never;
    for (const Box* box : boxes_) {
      next = std::min(next, std::max(world_.now() + 5ms, box->renewed_at + box->delay * 2 / 3));
    }
    co_await place_bell_.wait_until(next);
    std::vector<Place> due;
    for (Box* box : boxes_) {
      const bool is_due = box->details != nullptr && world_.now() >= box->renewed_at + box->delay * 2 / 3;
      if (is_due && due.size() < protocol::Refresh::most_items) due.push_back({box, box->id, *box->details});
    }
    if (due.empty()) continue;
    std::vector<protocol::Refresh::Item> items;
    for (const Place& place : due) items.push_back({&place.box->key, &place.id, place.details});
    protocol::Refresh machine{std::move(items), due.front().box->delay};
    const auto failure = co_await run(place_bell_, machine, patience());
    const auto* places = std::get_if<std::vector<protocol::Refresh::Place>>(&machine.outcome());
    if (failure || places == nullptr) continue;  // then each looks by itself
    for (std::size_t i = 0; i < due.size(); ++i) {
      const auto box = std::find_if(boxes_.begin(), boxes_.end(), [&](const Box* each) {
        return each == due[i].box && each->id.text() == due[i].id.text();
      });
      if (box == boxes_.end()) continue;
      (*box)->renewed_at = world_.now();
      (*box)->refreshed = (*places)[i];
      (*box)->bell.ring();
    }
  }
}

}  // namespace redismutex::sim
