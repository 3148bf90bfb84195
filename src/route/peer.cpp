#include "route/peer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "net/url.hpp"
#include "net/within.hpp"
#include "route/environment.hpp"
#include "route/helps.hpp"

namespace redismutex::route {
namespace {

using net::Link;
using net::ReplyType;
using protocol::Answer;
using protocol::Instant;

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

/// Adds the values of a list, each of them followed by its own.
void add_values(net::ReplyView list, std::vector<protocol::Value>& values) {
  using Type = protocol::Value::Type;
  for (const net::ReplyView element : list) {
    if (element.is_list()) {
      values.push_back({.type = Type::list, .integer = static_cast<std::int64_t>(element.size())});
      add_values(element, values);
    } else if (element.is_string()) {
      values.push_back({.type = Type::text, .text = element.text()});
    } else if (element.type() == ReplyType::integer) {
      values.push_back({.type = Type::integer, .integer = element.integer()});
    } else {
      values.push_back({.type = element.type() == ReplyType::null ? Type::nothing : Type::other});
    }
  }
}

void view_list(net::ReplyView list, Answer& answer) {
  using Type = Answer::Type;
  const auto is_integer = [](net::ReplyView element) { return element.type() == ReplyType::integer; };
  if (std::all_of(list.begin(), list.end(), is_integer)) {
    answer.type = Type::integers;
    answer.integers.reserve(list.size());
    for (const net::ReplyView element : list) answer.integers.push_back(element.integer());
  } else if (add_texts(list, answer.texts)) {
    answer.type = Type::texts;
  } else {
    answer.type = Type::values;
    answer.texts.clear();
    add_values(list, answer.values);
  }
}

/// Why a call at this link has no answer; a Failure whose `sent` is false says that nothing was sent.
Failure failure_of(const Link& link, Link::Waited waited, std::chrono::nanoseconds limit) {
  switch (waited) {
    case Link::Waited::broken: return link.failure();
    case Link::Waited::stopped: return {Failure::Kind::cancelled, "cancelled"};
    default: return {Failure::Kind::timed_out, "no answer" + net::within(limit)};
  }
}

}  // namespace

Answer view(net::ReplyView reply) {
  using Type = Answer::Type;
  Answer answer;
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
    case ReplyType::array:
    case ReplyType::map: view_list(reply, answer); break;
    default: answer.type = Type::other;
  }
  return answer;
}

Procedure::Event reached(Peer& peer, const std::shared_ptr<Link>& link) {
  if (!link) return Procedure::Unreached{peer.why_absent()};
  return Procedure::Reached{link->id()};
}

Procedure::Event unanswered(Failure failure) {
  if (failure.kind == Failure::Kind::refused) return Procedure::Unreached{std::move(failure)};
  return Procedure::Unanswered{std::move(failure)};
}

std::size_t count_wanted(const Procedure::Send& send) noexcept {
  return static_cast<std::size_t>(
      std::count_if(send.commands.begin(), send.commands.end(), [](const auto& command) { return command.wanted; }));
}

Peer::Peer(ConnectionOptions options, Server& server, net::ReactorOnDemand& reactor, Handlers handlers)
    : server_{server},
      on_answered_{std::move(handlers.on_answered)},
      node_{std::move(options), reactor, std::move(handlers.node), std::move(handlers.name_connection)} {
  server_.note_way(*this);
}

std::variant<std::shared_ptr<Link>, Failure> Peer::link(protocol::Instant until, const std::stop_token& stop) {
  auto reached = node_.link(deadline_at(until), stop);
  const auto* failure = std::get_if<Failure>(&reached);
  if (failure != nullptr &&
      (failure->kind == Failure::Kind::unreachable || failure->kind == Failure::Kind::timed_out)) {
    server_.note_silence();
  }
  return reached;
}

// ---- a thread that drives -------------------------------------------------------------------------------------------

namespace {

/// A thread on the way with a procedure: carries out one step after the other.
class Drive {
 public:
  Drive(Procedure& procedure, Sleeper& sleeper, const std::stop_token& stop)
      : procedure_{procedure}, sleeper_{sleeper}, stop_{stop} {}

  void run() {
    Procedure::Step step = procedure_.start(now_);
    for (;;) {
      if (const auto* reach = std::get_if<Procedure::Reach>(&step)) {
        step = carry_out(*reach);
      } else if (const auto* send = std::get_if<Procedure::Send>(&step)) {
        step = carry_out(*send);
      } else if (const auto* sleep = std::get_if<Procedure::Sleep>(&step)) {
        step = carry_out(*sleep);
      } else if (const auto* leave = std::get_if<Procedure::Leave>(&step)) {
        step = carry_out(*leave);
      } else {
        return;
      }
    }
  }

 private:
  using Step = Procedure::Step;

  Step tell(Procedure::Event event) {
    now_ = now();
    return procedure_.resume(std::move(event), now_);
  }

  Step carry_out(const Procedure::Reach& reach) {
    if (stop_.stop_requested()) return tell(Procedure::Stopped{});
    peer_ = reach.at->way();
    link_ = peer_->present_link();
    if (link_ || !reach.dials) return tell(reached(*peer_, link_));
    auto dialled = peer_->link(reach.until, stop_);
    if (auto* failure = std::get_if<Failure>(&dialled)) return tell(Procedure::Unreached{std::move(*failure)});
    link_ = std::move(std::get<std::shared_ptr<Link>>(dialled));
    return tell(Procedure::Reached{link_->id()});
  }

  Step carry_out(const Procedure::Send& send) {
    const std::size_t wanted = count_wanted(send);
    if (wanted == 1) return send_for_one(send);
    return wanted <= Procedure::most_wanted ? send_for_some<Procedure::most_wanted>(send)
                                            : send_for_some<Procedure::most_wanted_of_many>(send);
  }

  /// What nearly all want: made as it is needed.
  Step send_for_one(const Procedure::Send& send) {
    net::Caller caller;
    net::BlockingCall call{caller};
    send_commands(*link_, send.commands, [&call]() -> net::Call* { return &call; });
    const Link::Waited waited = link_->wait(call, deadline_at(send.until, now_), stop_);
    if (waited != Link::Waited::done) return tell_unanswered(failure_of(*link_, waited, send.until - now_));
    const Answer answer = view(call.reply());
    return tell_answered(send, {&answer, 1});
  }

  template <std::size_t most>
  Step send_for_some(const Procedure::Send& send) {
    net::Caller caller;
    std::array<std::optional<net::BlockingCall>, most> calls;
    std::size_t wanted = 0;
    const net::Deadline deadline = deadline_at(send.until, now_);
    send_commands(*link_, send.commands, [&]() -> net::Call* { return &calls.at(wanted++).emplace(caller); });
    std::array<Answer, most> answers;
    for (std::size_t i = 0; i < wanted; ++i) {
      const Link::Waited waited = link_->wait(*calls[i], deadline, stop_);
      if (waited != Link::Waited::done) return tell_unanswered(failure_of(*link_, waited, send.until - now_));
      answers[i] = view(calls[i]->reply());
    }
    return tell_answered(send, {answers.data(), wanted});
  }

  Step tell_answered(const Procedure::Send& send, std::span<const Answer> answers) {
    if (peer_->on_answered()) peer_->on_answered()(send.commands, now() - now_);
    return tell(Procedure::Answered{answers});
  }

  Step tell_unanswered(Failure failure) {
    if (link_->was_silent()) peer_->server().note_silence();
    link_.reset();
    return tell(unanswered(std::move(failure)));
  }

  Step carry_out(const Procedure::Sleep& sleep) {
    if (!sleep.listens) link_.reset();
    bool link_broke = false;
    if (link_) {
      link_broke = !sleeper_.sleep_at(*link_, deadline_at(sleep.until), stop_);
      if (link_broke) link_.reset();  // its descriptor is not to stay open for as long as the caller waits
    } else {
      sleeper_.sleep(deadline_at(sleep.until), stop_);
    }
    if (stop_.stop_requested()) return tell(Procedure::Stopped{});
    return tell(Procedure::Woken{.link_broke = link_broke});
  }

  Step carry_out(const Procedure::Leave& leave) {
    if (link_) peer_->leave(link_, leave);
    return carry_out(leave.then);
  }

  Procedure& procedure_;
  Sleeper& sleeper_;
  const std::stop_token& stop_;
  Peer* peer_ = nullptr;  // that was reached last
  std::shared_ptr<Link> link_;
  Instant now_ = now();  // when the procedure was told something the last time
};

}  // namespace

void drive(Procedure& procedure, Sleeper& sleeper, const std::stop_token& stop) {
  const HelpPause pause;
  Drive{procedure, sleeper, stop}.run();
}

}  // namespace redismutex::route
