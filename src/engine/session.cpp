#include "engine/session.hpp"

#include <algorithm>
#include <functional>
#include <redismutex/printable.hpp>
#include <span>
#include <string_view>
#include <utility>

#include "engine/client_name.hpp"
#include "engine/report.hpp"
#include "protocol/ping.hpp"
#include "protocol/survey.hpp"
#include "protocol/verdict.hpp"

namespace redismutex::engine {
namespace {

using net::Failure;
using net::Link;
using net::ReplyType;

// In one request: those of protocol::Release, and what goes before it.
constexpr std::size_t most_commands = 18;

// Between requests that a server refuses for now.
constexpr std::chrono::milliseconds first_pause{50};
constexpr std::chrono::milliseconds longest_pause{250};

// The log is not told again of servers that are left one after the other, or of one that is found again and again.
constexpr std::chrono::minutes between_notes_of_leaving{1};

using Deletion = protocol::Release::Deletion;

Deletion deletion_of(const net::Greeting& greeting) {
  using Version = net::Greeting::Version;
  if (greeting.server == "valkey" && greeting.version >= Version{9, 0, 0}) return Deletion::by_delifeq;
  if (greeting.server == "redis" && greeting.version >= Version{8, 4, 0}) return Deletion::by_delex;
  return Deletion::by_script;
}

/// Adds the texts of a list, and of the lists in it. Whether there was nothing else.
bool add_texts(net::ReplyView list, std::vector<std::optional<std::string_view>>& texts) {
  for (const net::ReplyView element : list) {
    if (element.is_string()) {
      texts.emplace_back(element.text());
    } else if (element.type() == ReplyType::null) {
      texts.emplace_back(std::nullopt);
    } else if (element.type() != ReplyType::array || !add_texts(element, texts)) {
      return false;
    }
  }
  return true;
}

void view_list(net::ReplyView list, protocol::Answer& answer) {
  using Type = protocol::Answer::Type;
  const auto is_integer = [](net::ReplyView element) { return element.type() == ReplyType::integer; };
  if (std::all_of(list.begin(), list.end(), is_integer)) {
    answer.type = Type::integers;
    answer.integers.reserve(list.size());
    for (const net::ReplyView element : list) answer.integers.push_back(element.integer());
  } else {
    answer.type = add_texts(list, answer.texts) ? Type::texts : Type::other;
  }
}

std::string_view error_of(net::ReplyView reply) { return reply.is_error() ? reply.text() : std::string_view{}; }

// What a connection can do without: see Session::note_means().
enum : std::size_t { channels, tracking };

bool is_unknown_script(net::ReplyView reply) { return error_of(reply).starts_with("NOSCRIPT"); }

}  // namespace

protocol::Answer detail::view(const Session::Answered& answered) {
  using Type = protocol::Answer::Type;
  const net::ReplyView reply = *answered.reply;
  protocol::Answer answer{.sent_at = answered.sent_at, .now = now()};
  if (answered.next && (*answered.next).type() == ReplyType::integer) answer.next = (*answered.next).integer();
  switch (reply.type()) {
    case ReplyType::null: answer.type = Type::nothing; break;
    case ReplyType::integer:
      answer.type = Type::integer;
      answer.integer = reply.integer();
      break;
    case ReplyType::simple_string:
    case ReplyType::bulk_string:
    case ReplyType::verbatim_string:
      answer.type = Type::text;
      answer.text = reply.text();
      break;
    case ReplyType::error:
      answer.type = Type::error;
      answer.text = reply.text();
      break;
    case ReplyType::array: view_list(reply, answer); break;
    default: answer.type = Type::other;
  }
  return answer;
}

Session::Session(ConnectionOptions options)
    : caretaker_{*this},
      node_{std::move(options),
            reactor_,
            {.on_push = [this](net::ReplyView push) { take_push(push); },
             .on_broken = [this] { caretaker_.link_broke(); }},
            [this](const net::Greeting& greeting) { return name_connection(greeting); },
            [this](const Link& link) { pushes_.begin(link.id(), link.greeting()); }} {}

Session::~Session() {
  farewell_ = patience();
  caretaker_.stop();
}

void Session::take_push(net::ReplyView push) {
  if (push.size() < 2) return;
  const std::string_view kind = push[0].text();
  const net::ReplyView about = push[1];
  if ((kind == "message" || kind == "smessage") && push.size() == 3) mailroom_.deliver(push[2].text());
  // Nobody can be woken until it is asked for again, and whoever looks does so.
  if (kind == "sunsubscribe" && pushes_.ended(about.text())) mailroom_.all_changed();
  if (kind != "invalidate") return;
  if (about.type() != ReplyType::array) {  // null: all of them, as after FLUSHALL
    mailroom_.all_changed();
    caretaker_.all_changed();
    return;
  }
  for (const net::ReplyView key : about) {
    mailroom_.key_changed(key.text());
    caretaker_.key_changed(key.text());
  }
}

net::Deadline Session::patience() const {
  const ConnectionOptions& options = node_.options();
  return std::min(farewell_.load(),
                  std::chrono::steady_clock::now() + options.connect_timeout + options.command_timeout);
}

void Session::ping() {
  protocol::Ping machine;
  if (const auto failure = run(machine, patience())) report::raise(*this, report::Action{"ping"}, *failure);
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome()))
    report::raise(*this, report::Action{"ping"}, *refused);
}

// ---- requests -------------------------------------------------------------------------------------------------------

Session::Exchanged Session::exchange(const protocol::Request& request, net::Deadline deadline,
                                     const std::stop_token& stop, std::shared_ptr<Link>& used) {
  auto reached = node_.link(deadline, stop);
  if (auto* failure = std::get_if<Failure>(&reached)) return std::move(*failure);
  used = std::get<std::shared_ptr<Link>>(reached);
  Link& link = *used;

  // The clock is read before the request leaves: the server starts its countdown later, so our deadline can only be
  // early.
  protocol::Instant sent_at = now();
  net::Caller caller;
  net::BlockingCall call{caller};
  net::BlockingCall next{caller};
  Link::Waited waited = send_and_wait(request, link, {&call, &next}, deadline, stop);
  if (waited == Link::Waited::done && request.script != nullptr && is_unknown_script(call.reply())) {
    net::BlockingCall loaded{caller};
    load_scripts(link, *request.script, loaded);
    sent_at = now();
    net::BlockingCall repeated{caller};
    waited = send_and_wait(request, link, {&repeated, &next}, deadline, stop);
    const Link::Waited loading = link.wait(loaded, deadline, stop);
    if (waited == Link::Waited::done) {
      // That the server does not let us load it says more than that it does not know it.
      const bool refused = loading == Link::Waited::done && loaded.reply().is_error();
      return Answered{refused ? loaded.take_reply() : repeated.take_reply(), sent_at};
    }
  }
  if (!request.next.empty()) {
    const Link::Waited followed = link.wait(next, deadline, stop);
    if (waited == Link::Waited::done) waited = followed;
    if (waited == Link::Waited::done) return Answered{call.take_reply(), sent_at, next.take_reply()};
  }
  switch (waited) {
    case Link::Waited::done: return Answered{call.take_reply(), sent_at};
    case Link::Waited::broken: {
      Failure failure = link.failure();
      if (failure.kind == Failure::Kind::refused) return failure;
      return Unanswered{std::move(failure)};
    }
    case Link::Waited::stopped: return Unanswered{{Failure::Kind::cancelled, "cancelled"}};
    case Link::Waited::timed_out: break;
  }
  return Unanswered{{Failure::Kind::timed_out, "no answer within the time limit"}};
}

std::optional<Failure> Session::refusal_to_wait_out(const protocol::Answer& answer, const std::shared_ptr<Link>& link) {
  if (answer.type != protocol::Answer::Type::error) return std::nullopt;
  switch (protocol::verdict(answer.text)) {
    case protocol::Verdict::repeat: break;
    case protocol::Verdict::leave: leave(link, answer.text); break;
    default: return std::nullopt;
  }
  return Failure{Failure::Kind::refused, std::string{answer.text}};
}

bool Session::may_go_by(const Failure& failure, bool may_wait) {
  using Kind = Failure::Kind;
  if (failure.kind == Kind::refused || failure.kind == Kind::turned_away) return true;
  if (!may_wait || (failure.kind != Kind::unreachable && failure.kind != Kind::timed_out)) return false;
  if (!absence_told_.exchange(true)) {
    log("this server is away, and is waited for by those who may wait for locks; the reason: " + failure.text);
  }
  return true;
}

void Session::note_presence() {
  if (absence_told_.load(std::memory_order_relaxed) && absence_told_.exchange(false)) log("this server is there again");
}

void Session::leave(const std::shared_ptr<Link>& link, std::string_view refusal) {
  if (!node_.drop(link, refusal)) return;
  const protocol::Instant here = now();
  if (left_a_server_.exchange(here) + between_notes_of_leaving > here) return;
  log("this server takes no locks and was left, to look up anew where its name leads; it said: " +
      std::string{refusal});
}

Session::Refusals::Next Session::Refusals::pause(const std::stop_token& stop) {
  const auto here = std::chrono::steady_clock::now();
  if (count_ == 0 && longest_) until_ = std::min(until_, here + *longest_);
  const auto over = std::min(until_, here + net::jittered_pause(count_++, first_pause, longest_pause));
  if (!net::pause_until(over, stop)) return Next::stopped;
  return over == until_ ? Next::give_up : Next::ask_again;
}

Link::Waited Session::send_and_wait(const protocol::Request& request, Link& link, Calls calls, net::Deadline deadline,
                                    const std::stop_token& stop) {
  const bool wants_pushes = request.wants_wake_ups || request.wants_invalidation;
  if (wants_pushes && pushes_.incomplete(link.id())) open_pushes(link, deadline, stop);
  send(request, link, calls.main, calls.next);
  return link.wait(*calls.main, deadline, stop);
}

void Session::send(const protocol::Request& request, Link& link, net::Call* main, net::Call* next) const {
  static constexpr std::array<std::string_view, 3> caching{"CLIENT", "CACHING", "YES"};
  static constexpr std::array<std::string_view, 1> ping{"PING"};
  static constexpr std::array<std::string_view, 1> multi{"MULTI"};
  static constexpr std::array<std::string_view, 1> exec{"EXEC"};
  std::array<Link::Outgoing, most_commands> commands{};
  std::size_t count = 0;
  const auto add = [&](protocol::Arguments arguments, net::Call* answered = nullptr) {
    commands.at(count++) = {answered, arguments};
  };
  if (request.wants_invalidation && pushes_.may_track()) add(caching);
  // Redis sends to its clients in the reverse order of their first messages; and the one who is answered first may well
  // keep it from sending the rest, if they share a processor. This makes ours the last.
  if (request.wakes_others) add(ping);
  if (request.joined.empty()) {
    for (int i = 1; i < request.times; ++i) add(request.arguments);
    add(request.arguments, main);
    if (!request.next.empty()) add(request.next, next);
  } else {
    add(multi);
    add(request.arguments);
    for (const protocol::Arguments joined : request.joined) add(joined);
    add(exec, main);
  }
  link.send(std::span{commands.data(), count});
}

/// Asks for what is missing; in two round trips where the server has sharded channels and does not let us have one.
void Session::open_pushes(Link& link, net::Deadline deadline, const std::stop_token& stop) {
  static constexpr std::array<std::string_view, 5> track{"CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"};
  bool asks_again = true;
  while (std::exchange(asks_again, false)) {
    const Pushes::Wanted wanted = pushes_.wanted(link.id());
    const std::array<std::string_view, 2> subscribe{wanted.subscribe, wanted.channel};
    const bool subscribes = !wanted.subscribe.empty();
    net::Caller caller;
    net::BlockingCall subscribed{caller};
    net::BlockingCall tracked{caller};
    if (subscribes && wanted.tracking) {
      link.send({{&subscribed, subscribe}, {&tracked, track}});
    } else if (subscribes) {
      link.send({{&subscribed, subscribe}});
    } else if (wanted.tracking) {
      link.send({{&tracked, track}});
    }
    const bool has_subscribed = subscribes && link.wait(subscribed, deadline, stop) == Link::Waited::done;
    const bool has_tracked = wanted.tracking && link.wait(tracked, deadline, stop) == Link::Waited::done;
    if (has_subscribed) {
      const std::string_view error = error_of(subscribed.reply());
      const Pushes::Next next = pushes_.subscribed(link.id(), wanted, error);
      asks_again = next == Pushes::Next::ask_again;
      note_means(next, channels, error);
    }
    if (has_tracked) {
      const std::string_view error = error_of(tracked.reply());
      note_means(pushes_.tracked(link.id(), error), tracking, error);
    }
  }
}

/// What the server does not let us have is said once: without it the timers remain.
void Session::note_means(Pushes::Next next, std::size_t means, std::string_view error) {
  static constexpr std::array<std::string_view, 2> consequences{
      "cannot be woken, so a wait for a lock looks at the server every Options::delay instead; let this user have the "
      "channels redismutex:* (ACL &redismutex:* +ssubscribe +spublish, before Redis 7.0 +subscribe +publish)",
      "cannot be told of changes to a key, so locks that others delete are noticed late; let this user have the "
      "commands "
      "(ACL +client|tracking +client|caching)"};
  if (next != Pushes::Next::do_without || refusals_told_.at(means).exchange(true)) return;
  log(std::string{consequences.at(means)} + "; the server said: " + std::string{error});
}

void Session::load_scripts(Link& link, const protocol::Script& wanted, net::Call& loaded) {
  for (const protocol::Script* script : protocol::scripts::all) {
    const std::array<std::string_view, 3> load{"SCRIPT", "LOAD", script->source};
    link.send({{script == &wanted ? &loaded : nullptr, load}});
  }
}

std::shared_ptr<Link> Session::post(const protocol::Request& request, net::Call& call) {
  std::shared_ptr<Link> link = node_.present_link();
  if (link) {
    send(request, *link, &call, nullptr);
  }
  return link;
}

Deletion Session::deletion() {
  const std::shared_ptr<Link> link = node_.present_link();
  return link && link->id() != deletion_refused_link_ ? deletion_of(link->greeting()) : Deletion::by_script;
}

void Session::note_deletion_refused() {
  if (const std::shared_ptr<Link> link = node_.present_link()) deletion_refused_link_ = link->id();
}

std::variant<std::shared_ptr<Link>, Failure> Session::link(net::Deadline deadline, const std::stop_token& stop) {
  return node_.link(deadline, stop);
}

std::variant<protocol::Tag, Failure> Session::tag(net::Deadline deadline, const std::stop_token& stop) {
  if (const auto tag = identity_.known()) return *tag;
  auto reached = node_.link(deadline, stop);
  auto* failure = std::get_if<Failure>(&reached);
  const bool is_over = failure != nullptr && (failure->kind == Failure::Kind::timed_out ||
                                              failure->kind == Failure::Kind::cancelled || failure->permanent());
  if (is_over) return std::move(*failure);
  return identity_.tag();  // whoever asks reaches for the server again, and reports what is wrong with it
}

/// A new one, for the administrator's CLIENT LIST.
std::string Session::name_connection(const net::Greeting& greeting) {
  identity_.note_client_id(greeting.client_id);
  return client_name(node_.options().client_name, identity_.tag());
}

std::atomic<bool>& Session::contended(const protocol::Key& key) noexcept {
  return contended_[std::hash<std::string>{}(key.text()) % contended_.size()];
}

void Session::survey() noexcept {
  if (!node_.options().log || surveyed_.exchange(true)) return;
  const auto look = [this]() -> std::optional<protocol::Instant> {
    protocol::Survey machine;
    if (run(machine, patience())) return std::nullopt;  // whoever wants a lock finds out, too
    for (const std::string& warning : machine.warnings()) log(warning);
    return std::nullopt;
  };
  try {
    errands_.schedule(now(), look);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no thread, no memory; locks do without
  }
}

void Session::watch_over_leases() {
  caretaker_.get_ready();
  timers_.get_ready();
}

void Session::log(const std::string& message) const noexcept try {
  tell_log(server_name() + ": " + message);
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): see tell_log()
}

void Session::tell_log(std::string_view sentence) const noexcept {
  if (!node_.options().log) return;
  try {
    node_.options().log(printable(sentence));
  } catch (...) {  // NOLINT(bugprone-empty-catch): a log that can not be written is no reason to lose a lock
  }
}

}  // namespace redismutex::engine
