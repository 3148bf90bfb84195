#include "engine/session.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
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
    default: answer.type = Type::other;
  }
  return answer;
}

net::Deadline Session::patience() const {
  const ConnectionOptions& options = node_.options();
  return std::min(farewell_.load(),
                  std::chrono::steady_clock::now() + options.connect_timeout + options.command_timeout);
}

void Session::ping() {
  protocol::Ping machine;
  if (const auto failure = run(machine, patience())) report::raise(*this, "ping", *failure);
  if (const auto* refused = std::get_if<protocol::Refusal>(&machine.outcome())) report::raise(*this, "ping", *refused);
}

Session::Exchanged Session::exchange(const protocol::Request& request, net::Deadline deadline,
                                     const std::stop_token& stop) {
  auto reached = node_.link(deadline, stop);
  if (auto* failure = std::get_if<Failure>(&reached)) return std::move(*failure);
  Link& link = *std::get<std::shared_ptr<Link>>(reached);

  // The clock is read before the request leaves: the server starts its countdown later, so our deadline can only be
  // early.
  protocol::Instant sent_at = now();
  net::Call call;
  link.send({{&call, request.arguments}});
  Link::Waited waited = link.wait(call, deadline, stop);
  if (waited == Link::Waited::done && request.script != nullptr && is_unknown_script(call.reply())) {
    const std::array<std::string_view, 3> load{"SCRIPT", "LOAD", request.script->source};
    sent_at = now();
    net::Call loaded;
    net::Call repeated;
    link.send({{&loaded, load}, {&repeated, request.arguments}});
    const Link::Waited loading = link.wait(loaded, deadline, stop);
    waited = link.wait(repeated, deadline, stop);
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

std::optional<Failure> Session::pause(protocol::Instant until, net::Deadline deadline, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock{mutex};
  never.wait_until(lock, stop, std::min(deadline_at(until), deadline), [] { return false; });
  if (stop.stop_requested()) return Failure{Failure::Kind::cancelled, "cancelled"};
  return std::nullopt;
}

}  // namespace redismutex::engine
