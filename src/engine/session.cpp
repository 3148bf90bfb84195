#include "engine/session.hpp"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "engine/report.hpp"
#include "protocol/ping.hpp"

namespace redismutex::engine {
namespace {

using net::Failure;
using net::Link;

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
      answer.type = Type::text;
      answer.text = text_of(reply);
      break;
    case REDIS_REPLY_ERROR:
      answer.type = Type::error;
      answer.text = text_of(reply);
      break;
    case REDIS_REPLY_ARRAY:
      answer.type = Type::integers;
      for (std::size_t i = 0; i < std::min(reply.elements, answer.integers.size()); ++i) {
        if (reply.element[i]->type != REDIS_REPLY_INTEGER) answer.type = Type::other;
        answer.integers[i] = reply.element[i]->integer;
      }
      break;
    default: answer.type = Type::other;
  }
  return answer;
}

Session::Session(ConnectionOptions options)
    : node_{std::move(options), [this](const redisReply& push) { mailroom_.deliver(push); }} {}

net::Deadline Session::patience() const {
  const ConnectionOptions& options = node_.options();
  return std::chrono::steady_clock::now() + options.connect_timeout + options.command_timeout;
}

void Session::ping() {
  protocol::Ping machine;
  if (const auto failure = run(machine, patience())) report::raise(*this, "ping", *failure);
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) report::raise(*this, "ping", *refused);
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

Link::Waited Session::send_and_wait(const protocol::Request& request, Link& link, net::Call& call,
                                    net::Deadline deadline, const std::stop_token& stop) {
  if (request.wants_wake_ups && subscribed_link_ != link.id()) {
    return subscribe_and_wait(request, link, call, deadline, stop);
  }
  if (request.wants_invalidation && tracking_link_ != link.id()) {
    // Where the server does not let us, the timers remain.
    static constexpr std::array<std::string_view, 5> track{"CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"};
    link.send({{nullptr, track}});
    tracking_link_ = link.id();
  }
  if (request.wants_invalidation) {
    static constexpr std::array<std::string_view, 3> caching{"CLIENT", "CACHING", "YES"};
    link.send({{nullptr, caching}, {&call, request.arguments}});
  } else {
    link.send({{&call, request.arguments}});
  }
  return link.wait(call, deadline, stop);
}

Link::Waited Session::subscribe_and_wait(const protocol::Request& request, Link& link, net::Call& call,
                                         net::Deadline deadline, const std::stop_token& stop) {
  const std::string channel = mailroom_.channel();
  const std::array<std::string_view, 2> subscribe{"SUBSCRIBE", channel};
  net::Call subscribed;
  link.send({{&subscribed, subscribe}, {&call, request.arguments}});
  const Link::Waited waited = link.wait(call, deadline, stop);
  // It went ahead of the request, so its answer is there if the request's is.
  if (link.wait(subscribed, deadline, stop) == Link::Waited::done) {
    if (subscribed.reply().type != REDIS_REPLY_ERROR) {
      subscribed_link_ = link.id();
    } else if (!mailbox_refused_.exchange(true)) {
      log("cannot be woken, so waiting for a lock falls back to looking every Options::delay; grant this user the "
          "channels redismutex:* (ACL &redismutex:*), the server said: " +
          std::string{text_of(subscribed.reply())});
    }
  }
  return waited;
}

void Session::load_scripts(Link& link, const protocol::Script& wanted, net::Call& loaded) {
  for (const protocol::Script* script : protocol::scripts::all) {
    const std::array<std::string_view, 3> load{"SCRIPT", "LOAD", script->source};
    link.send({{script == &wanted ? &loaded : nullptr, load}});
  }
}

bool Session::post(const protocol::Request& request) {
  const std::shared_ptr<Link> link = node_.present_link();
  if (link) link->send({{nullptr, request.arguments}});
  return link != nullptr;
}

std::shared_ptr<Link> Session::post(const protocol::Request& request, net::Call& call) {
  std::shared_ptr<Link> link = node_.present_link();
  if (link) link->send({{&call, request.arguments}});
  return link;
}

std::atomic<bool>& Session::contended(const protocol::Key& key) noexcept {
  return contended_[std::hash<std::string>{}(key.text()) % contended_.size()];
}

void Session::log(const std::string& message) const noexcept {
  if (!node_.options().log) return;
  try {
    node_.options().log(server_name() + ": " + message);
  } catch (...) {  // NOLINT(bugprone-empty-catch): a log that can not be written is no reason to lose a lock
  }
}

}  // namespace redismutex::engine
