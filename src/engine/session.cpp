#include "engine/session.hpp"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "engine/report.hpp"
#include "protocol/ping.hpp"
#include "protocol/survey.hpp"
#include "protocol/verdict.hpp"

namespace redismutex::engine {
namespace {

using net::Failure;
using net::Link;

// Between requests that a server refuses for now.
constexpr std::chrono::milliseconds first_pause{50};
constexpr std::chrono::milliseconds longest_pause{250};

// The log is not told again of servers that are left one after the other, or of one that is found again and again.
constexpr std::chrono::minutes between_notes_of_leaving{1};

std::string_view text_of(const redisReply& reply) { return {reply.str, reply.len}; }

bool is_unknown_script(const redisReply& reply) {
  return reply.type == REDIS_REPLY_ERROR && text_of(reply).starts_with("NOSCRIPT");
}

}  // namespace

protocol::Answer detail::view(const Session::Answered& answered) {
  using Type = protocol::Answer::Type;
  const redisReply& reply = *answered.reply;
  protocol::Answer answer{.sent_at = answered.sent_at, .now = now()};
  switch (reply.type) {
    case REDIS_REPLY_NIL: answer.type = Type::nothing; break;
    case REDIS_REPLY_INTEGER:
      answer.type = Type::integer;
      answer.integer = reply.integer;
      break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_VERB:
      answer.type = Type::text;
      answer.text = text_of(reply);
      break;
    case REDIS_REPLY_ERROR:
      answer.type = Type::error;
      answer.text = text_of(reply);
      break;
    case REDIS_REPLY_ARRAY:
      answer.type = Type::integers;
      answer.integers.reserve(reply.elements);
      for (std::size_t i = 0; i < reply.elements; ++i) {
        if (reply.element[i]->type != REDIS_REPLY_INTEGER) answer.type = Type::other;
        answer.integers.push_back(reply.element[i]->integer);
      }
      break;
    default: answer.type = Type::other;
  }
  return answer;
}

Session::Session(ConnectionOptions options)
    : node_{std::move(options), [this](const redisReply& push) { take_push(push); }}, caretaker_{*this} {}

Session::~Session() {
  farewell_ = patience();
  caretaker_.stop();
}

void Session::take_push(const redisReply& push) {
  if (push.elements < 2) return;
  const std::string_view kind = text_of(*push.element[0]);
  if (kind == "message" && push.elements == 3) mailroom_.deliver(text_of(*push.element[2]));
  if (kind != "invalidate") return;
  const redisReply& keys = *push.element[1];
  if (keys.type != REDIS_REPLY_ARRAY) {  // null: all of them, as after FLUSHALL
    mailroom_.all_changed();
    caretaker_.all_changed();
    return;
  }
  for (std::size_t i = 0; i < keys.elements; ++i) {
    mailroom_.key_changed(text_of(*keys.element[i]));
    caretaker_.key_changed(text_of(*keys.element[i]));
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
  net::Call call;
  Link::Waited waited = send_and_wait(request, link, call, deadline, stop);
  if (waited == Link::Waited::done && request.script != nullptr && is_unknown_script(call.reply())) {
    net::Call loaded;
    load_scripts(link, *request.script, loaded);
    sent_at = now();
    net::Call repeated;
    waited = send_and_wait(request, link, repeated, deadline, stop);
    const Link::Waited loading = link.wait(loaded, deadline, stop);
    if (waited == Link::Waited::done) {
      // That the server does not let us load it says more than that it does not know it.
      const bool refused = loading == Link::Waited::done && loaded.reply().type == REDIS_REPLY_ERROR;
      return Answered{refused ? loaded.take_reply() : repeated.take_reply(), sent_at};
    }
  }
  switch (waited) {
    case Link::Waited::done: return Answered{call.take_reply(), sent_at};
    case Link::Waited::broken: return Unanswered{link.failure()};
    case Link::Waited::stopped: return Unanswered{{Failure::Kind::cancelled, "cancelled"}};
    case Link::Waited::timed_out: break;
  }
  return Unanswered{{Failure::Kind::timed_out, "no answer within the time limit"}};
}

/// Whether the request may be repeated, to a server that takes it. Leaves the one behind `link` if that is not it.
bool Session::is_waited_out(const protocol::Answer& answer, std::shared_ptr<Link>& link) {
  if (answer.type != protocol::Answer::Type::error) return false;
  switch (protocol::verdict(answer.text)) {
    case protocol::Verdict::repeat: return true;
    case protocol::Verdict::leave: leave(std::exchange(link, nullptr), answer.text); return true;
    default: return false;
  }
}

void Session::leave(const std::shared_ptr<Link>& link, std::string_view refusal) {
  const std::string why = "the server takes no locks and was left; it said: " + std::string{refusal};
  if (!node_.drop(link, {Failure::Kind::unreachable, why})) return;
  const protocol::Instant here = now();
  if (left_a_server_.exchange(here) + between_notes_of_leaving > here) return;
  log(why + "; where its name leads to is looked up anew");
}

Session::Refusals::Next Session::Refusals::pause(const std::stop_token& stop) {
  const auto here = std::chrono::steady_clock::now();
  if (count_ == 0 && longest_) until_ = std::min(until_, here + *longest_);
  const auto over = std::min(until_, here + net::jittered_pause(count_++, first_pause, longest_pause));
  if (!net::pause_until(over, stop)) return Next::stopped;
  return over == until_ ? Next::give_up : Next::ask_again;
}

Link::Waited Session::send_and_wait(const protocol::Request& request, Link& link, net::Call& call,
                                    net::Deadline deadline, const std::stop_token& stop) {
  const bool wants_pushes = request.wants_wake_ups || request.wants_invalidation;
  if (wants_pushes && pushing_link_ != link.id()) open_pushes(link, deadline, stop);
  send(request, link, &call);
  const bool contended = request.wakes_others || request.wants_wake_ups;
  return link.wait(call, deadline, stop, contended ? Link::Sleep::in_poll : Link::Sleep::in_recv);
}

void Session::send(const protocol::Request& request, Link& link, net::Call* call) const {
  if (request.wants_invalidation && !tracking_refused_) {
    static constexpr std::array<std::string_view, 3> caching{"CLIENT", "CACHING", "YES"};
    link.send({{nullptr, caching}, {call, request.arguments}});
  } else if (request.wakes_others) {
    // Redis sends to its clients in the reverse order of their first messages; and the one who is answered first may well
    // keep it from sending the rest, if they share a processor. This makes ours the last.
    static constexpr std::array<std::string_view, 1> ping{"PING"};
    link.send({{nullptr, ping}, {call, request.arguments}});
  } else {
    link.send({{call, request.arguments}});
  }
}

/// What the server does not let us have is said once: without it the timers remain.
void Session::open_pushes(Link& link, net::Deadline deadline, const std::stop_token& stop) {
  const std::string channel = mailroom_.channel_of(link.id());
  const std::array<std::string_view, 2> subscribe{"SUBSCRIBE", channel};
  static constexpr std::array<std::string_view, 5> track{"CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"};
  net::Call subscribed;
  net::Call tracked;
  link.send({{&subscribed, subscribe}, {&tracked, track}});
  // Both are on the wire, so both are waited for, or withdrawn, before this frame goes.
  const Link::Waited first = link.wait(subscribed, deadline, stop);
  const Link::Waited second = link.wait(tracked, deadline, stop);
  if (first != Link::Waited::done || second != Link::Waited::done) return;
  pushing_link_ = link.id();
  note_refusal(subscribed.reply(), mailbox_refused_,
               "cannot be woken, so a wait for a lock looks at the server every Options::delay instead; let this user "
               "have the channels redismutex:* (ACL &redismutex:* +subscribe)");
  note_refusal(tracked.reply(), tracking_refused_,
               "cannot be told of changes to a key, so locks that others delete are noticed late; let this user have "
               "the commands (ACL +client|tracking +client|caching)");
}

void Session::note_refusal(const redisReply& reply, std::atomic<bool>& refused, std::string_view consequence) {
  if (reply.type != REDIS_REPLY_ERROR || refused.exchange(true)) return;
  log(std::string{consequence} + "; the server said: " + std::string{text_of(reply)});
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
    send(request, *link, &call);
    link->flush();
  }
  return link;
}

std::variant<std::shared_ptr<Link>, Failure> Session::link(net::Deadline deadline, const std::stop_token& stop) {
  return node_.link(deadline, stop);
}

std::atomic<bool>& Session::contended(const protocol::Key& key) noexcept {
  return contended_[std::hash<std::string>{}(key.text()) % contended_.size()];
}

void Session::survey() {
  if (!node_.options().log || surveyed_.exchange(true)) return;
  errands_.schedule(now(), [this]() -> std::optional<protocol::Instant> {
    protocol::Survey machine;
    if (run(machine, patience())) return std::nullopt;  // whoever wants a lock finds out, too
    for (const std::string& warning : machine.warnings()) log(warning);
    return std::nullopt;
  });
}

void Session::log(const std::string& message) const noexcept {
  if (!node_.options().log) return;
  try {
    node_.options().log(server_name() + ": " + message);
  } catch (...) {  // NOLINT(bugprone-empty-catch): a log that can not be written is no reason to lose a lock
  }
}

}  // namespace redismutex::engine
