#include "sim/peer.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "net/pause.hpp"
#include "sim/process.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;
using protocol::Answer;

namespace {

constexpr std::chrono::microseconds first_pause = 1ms;
constexpr std::chrono::microseconds longest_pause = 512ms;

Failure failure(Failure::Kind kind, const char* text) { return {kind, text}; }

std::vector<std::string> copied(std::span<const std::string_view> arguments) {
  return {arguments.begin(), arguments.end()};
}

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

void view_list(const Value& list, Answer& answer) {
  using Type = Answer::Type;
  if (std::all_of(list.elements.begin(), list.elements.end(),
                  [](const Value& element) { return element.kind == Value::Kind::integer; })) {
    answer.type = Type::integers;
    for (const Value& element : list.elements) answer.integers.push_back(element.integer);
  } else {
    answer.type = add_texts(list, answer.texts) ? Type::texts : Type::other;
  }
}

}  // namespace

Answer view(const Value& value) {
  using Type = Answer::Type;
  Answer answer;
  switch (value.kind) {
    case Value::Kind::nil: answer.type = Type::nothing; break;
    case Value::Kind::integer:
      answer.type = Type::integer;
      answer.integer = value.integer;
      break;
    case Value::Kind::bulk:
    case Value::Kind::status:
      answer.type = Type::text;
      answer.text = value.text;
      break;
    case Value::Kind::error:
      answer.type = Type::error;
      answer.text = value.text;
      break;
    case Value::Kind::array:
    case Value::Kind::map: view_list(value, answer); break;
    case Value::Kind::real:
    case Value::Kind::push: answer.type = Type::other; break;
  }
  return answer;
}

Peer::Peer(World& world, Process& process, Listener& listener, route::Environment& environment, bool takes_it_for_old)
    : world_{world},
      process_{process},
      listener_{listener},
      takes_it_for_old_{takes_it_for_old},
      server_{environment, "server", [](std::string_view) {}} {}

// ---- the link -------------------------------------------------------------------------------------------------------

std::shared_ptr<Link> Peer::present_link() const { return link_ && link_->usable() ? link_ : nullptr; }

/// What HELLO tells. A proxy in front may be older than the server.
net::Greeting Peer::greeting(Server::Connection connection) const {
  using Deletion = Server::Conduct::Deletion;
  net::Greeting greeting{
      .client_id = connection, .server = "redis", .version = {7, 4, 0}, .role = "master", .mode = "standalone"};
  const Server::Conduct& conduct = world_.conduct();
  if (conduct.before_7_2) greeting.version = {7, 0, 0};
  if (conduct.before_7_0 || takes_it_for_old_) greeting.version = {6, 2, 0};
  if (takes_it_for_old_) return greeting;
  if (conduct.deletion == Deletion::delex) greeting.version = {8, 4, 0};
  if (conduct.deletion == Deletion::delifeq) {
    greeting.server = "valkey";
    greeting.version = {9, 0, 0};
  }
  return greeting;
}

Task<bool> Peer::dial(Bell& bell, Time deadline) {
  dialling_ = true;
  const Time answered_at = std::max(world_.now(), world_.server_paused_until()) +
                           world_.random.between(world_.profile.latency, 4 * world_.profile.latency);
  co_await process_.sleep(bell, std::min(answered_at, deadline));
  dialling_ = false;
  if (!world_.server_is_up() || deadline < answered_at) {
    next_attempt_ = world_.now() + pause_after_failure();
    co_return false;
  }
  if (std::exchange(connection_lost_, false)) process_.settled();
  reached_before_ = true;
  failures_ = 0;
  link_ = std::make_shared<Link>(world_, process_, *this);
  link_->open();
  const net::Greeting hello = greeting(link_->id());
  server_.begin(static_cast<std::uint64_t>(link_->id()), hello);
  listener_.linked(hello);
  co_return true;
}

Time Peer::pause_after_failure() {
  return net::jittered_pause(failures_++, first_pause, longest_pause, world_.random.next());
}

Task<std::variant<std::shared_ptr<Link>, Failure>> Peer::reach(Bell& bell, Time deadline, Stop* stop) {
  using Result = std::variant<std::shared_ptr<Link>, Failure>;
  using Kind = Failure::Kind;
  const Time give_up = std::min(deadline, world_.now() + connect_timeout);
  bool tried = false;
  for (;;) {
    if (auto link = present_link()) co_return Result{std::move(link)};
    if (tried && !reached_before_) co_return Result{failure(Kind::unreachable, "refused")};
    if (stop != nullptr && stop->requested) co_return Result{failure(Kind::cancelled, "cancelled")};
    if (world_.now() >= give_up)
      co_return Result{failure(tried ? Kind::unreachable : Kind::timed_out, "no connection")};
    if (!dialling_ && world_.now() >= next_attempt_) {
      tried = !co_await dial(bell, give_up) || tried;
      continue;
    }
    co_await bell.wait_until(std::min(give_up, dialling_ ? world_.now() + 1ms : next_attempt_));
  }
}

void Peer::leave(const std::shared_ptr<Link>& link, std::string_view refusal) {
  if (link != link_ || !link->usable()) return;
  link->retire(std::string{refusal});
  lose_connection("server-left");
  next_attempt_ = world_.now() + pause_after_failure();
}

void Peer::lose_connection(const char* how) {
  if (!std::exchange(connection_lost_, true)) process_.disturbed(never, how);
}

void Peer::link_broke(const Link& link) {
  server_.note_broken(static_cast<std::uint64_t>(link.id()));
  if (&link == link_.get()) lose_connection("connection-broke");
  listener_.link_broke();
}

void Peer::cut() {
  if (!present_link() || connection_lost_) return;
  static constexpr std::array<const char*, 3> names{"connection-reset", "connection-silent", "connection-deaf"};
  const auto how = static_cast<Link::Cut>(world_.random.below(names.size()));
  lose_connection(names[static_cast<std::size_t>(how)]);
  const bool server_learns_late = world_.chance(300'000);
  link_->cut(how, world_.chance(500'000),
             server_learns_late ? world_.random.between(1s, 30s) : world_.random.between(0ms, 50ms));
}

void Peer::abandon(bool with_its_machine) {
  if (link_) link_->abandon(with_its_machine ? world_.random.between(5s, 30s) : world_.random.between(0ms, 1ms));
}

// ---- a thread that drives -------------------------------------------------------------------------------------------

/// A thread on the way with a procedure: carries out one step after the other. It may be held up before and after each, and between the
/// sending of a request and the look at its answer.
class Peer::Drive {
 public:
  Drive(Peer& peer, Bell& bell, route::Procedure& procedure, Stop* stop)
      : peer_{peer}, process_{peer.process_}, bell_{bell}, procedure_{procedure}, stop_{stop} {}

  Task<> run() {
    Step step = procedure_.start(process_.now());
    while (!std::holds_alternative<Procedure::Done>(step)) {
      co_await process_.point(bell_);
      if (const auto* reach = std::get_if<Procedure::Reach>(&step)) {
        step = co_await carry_out(*reach);
      } else if (const auto* send = std::get_if<Procedure::Send>(&step)) {
        step = co_await carry_out(*send);
      } else if (const auto* sleep = std::get_if<Procedure::Sleep>(&step)) {
        step = co_await carry_out(*sleep);
      } else {
        const auto& leave = std::get<Procedure::Leave>(step);
        if (link_) peer_.leave(link_, leave.refusal);
        step = co_await carry_out(leave.then);
      }
    }
  }

 private:
  using Procedure = route::Procedure;
  using Step = Procedure::Step;

  bool stopped() const { return stop_ != nullptr && stop_->requested; }
  Time when(protocol::Instant instant) const { return process_.when(instant); }
  Step tell(Procedure::Event event) { return procedure_.resume(std::move(event), process_.now()); }

  /// Arguments by value: a step goes when the next one comes.
  Task<Step> carry_out(Procedure::Reach reach) {
    if (stopped()) co_return tell(Procedure::Stopped{});
    link_ = peer_.present_link();
    if (!link_ && reach.dials) {
      auto reached = co_await peer_.reach(bell_, when(reach.until), stop_);
      co_await process_.point(bell_);
      if (auto* why = std::get_if<Failure>(&reached)) {
        if (why->kind != Failure::Kind::cancelled) peer_.server_.note_silence();
        co_return tell(Procedure::Unreached{std::move(*why)});
      }
      link_ = std::move(std::get<std::shared_ptr<Link>>(reached));
    }
    if (!link_) co_return tell(Procedure::Unreached{failure(Failure::Kind::unreachable, "the connection is broken")});
    co_return tell(Procedure::Reached{static_cast<std::uint64_t>(link_->id())});
  }

  Task<Step> carry_out(Procedure::Send send) {
    std::array<std::shared_ptr<Call>, Procedure::most_wanted> calls;
    std::size_t wanted = 0;
    std::vector<Link::Outgoing> commands;
    commands.reserve(send.commands.size());
    for (const Procedure::Command& command : send.commands) {
      for (int i = 1; i < command.times; ++i) commands.push_back({nullptr, copied(command.arguments)});
      if (command.wanted) calls.at(wanted++) = std::make_shared<Call>();
      for (int i = 1; i < command.times; ++i) commands.push_back({nullptr, copied(command.arguments)});
      commands.push_back({command.wanted ? calls.at(wanted - 1) : nullptr, copied(command.arguments)});
    }
    if (const std::string* refusal = link_->refusal()) {
      co_return tell(Procedure::Unreached{{Failure::Kind::refused, *refusal}});
    }
    link_->send(std::move(commands));
    co_await process_.point(bell_);
    const Time deadline = when(send.until);
    for (std::size_t i = 0; i < wanted; ++i) {
      if (calls[i]->answered) continue;
      if (auto why = co_await await_answer(calls[i], deadline)) {
        link_.reset();
        co_await process_.point(bell_);
        co_return tell(Procedure::Unanswered{std::move(*why)});
      }
    }
    co_await process_.point(bell_);
    std::array<Answer, Procedure::most_wanted> answers;
    for (std::size_t i = 0; i < wanted; ++i) answers[i] = view(calls[i]->reply);
    co_return tell(Procedure::Answered{{answers.data(), wanted}});
  }

  Task<std::optional<Failure>> await_answer(std::shared_ptr<Call> call, Time deadline) {
    using Kind = Failure::Kind;
    call->bell = &bell_;
    const Time now = peer_.world_.now(), overdue_at = now + command_timeout;
    while (!call->answered && !link_->broken() && !stopped() && peer_.world_.now() < std::min(deadline, overdue_at)) {
      co_await bell_.wait_until(std::min(deadline, overdue_at));
    }
    call->bell = nullptr;
    if (call->answered) co_return std::nullopt;
    if (link_->broken()) co_return failure(Kind::unreachable, "the connection broke");
    if (stopped()) co_return failure(Kind::cancelled, "cancelled");
    if (deadline < overdue_at) co_return failure(Kind::timed_out, "no answer within the time limit");
    peer_.server_.note_silence();
    link_->fail();
    co_return failure(Kind::unreachable, "no answer");
  }

  Task<Step> carry_out(Procedure::Sleep sleep) {
    if (!sleep.listens) link_.reset();
    const Time until = when(sleep.until);
    if (link_) link_->add_reader(bell_);
    while (!bell_.has_news() && !(link_ && link_->broken()) && !stopped() && peer_.world_.now() < until) {
      co_await bell_.wait_until(until);
    }
    bell_.take_news();
    bool broke = false;
    if (link_) {
      broke = link_->broken();
      link_->remove_reader(bell_);
      if (broke) link_.reset();
    }
    co_await process_.point(bell_);
    if (stopped()) co_return tell(Procedure::Stopped{});
    co_return tell(Procedure::Woken{.link_broke = broke});
  }

  Peer& peer_;
  Process& process_;
  Bell& bell_;
  Procedure& procedure_;
  Stop* const stop_;
  std::shared_ptr<Link> link_;
};

Task<> Peer::drive(Bell& bell, route::Procedure& procedure, Stop* stop) {
  Drive drive{*this, bell, procedure, stop};
  co_await drive.run();
}

}  // namespace redismutex::sim
