#include "engine/conversation.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "protocol/script.hpp"
#include "protocol/verdict.hpp"

namespace redismutex::engine {
namespace {

using protocol::Answer;
using protocol::Instant;
using route::Failure;
using route::Pushes;

// Between requests that a server refuses for now.
constexpr std::chrono::milliseconds first_pause{50};
constexpr std::chrono::milliseconds longest_pause{250};

// To reach one server of a cluster. What was begun by then goes on.
constexpr std::chrono::milliseconds look_elsewhere_after{300};

// Servers of a cluster that send a request back and forth do not agree yet.
constexpr unsigned most_redirections = 5;

using Subscribe = std::array<std::string_view, 2>;
constexpr std::array<std::string_view, 5> track{"CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"};
constexpr std::array<std::string_view, 3> caching{"CLIENT", "CACHING", "YES"};
constexpr std::array<std::string_view, 1> asking{"ASKING"};
constexpr std::array<std::string_view, 1> ping{"PING"};
constexpr std::array<std::string_view, 1> multi{"MULTI"};
constexpr std::array<std::string_view, 1> exec{"EXEC"};

std::string_view error_of(const Answer& answer) {
  return answer.type == Answer::Type::error ? answer.text : std::string_view{};
}

bool wants_anything(const Pushes::Wanted& wanted) { return !wanted.subscribe.empty() || wanted.tracking; }

bool is_unknown_script(const Answer& answer) { return error_of(answer).starts_with("NOSCRIPT"); }

}  // namespace

route::Procedure::Step Conversation::start(Instant now) { return go_on(machine_.start(now)); }

route::Procedure::Step Conversation::resume(Event&& event, Instant now) {
  return std::visit([this, now](auto& what) { return on(what, now); }, event);
}

/// What the machine wants next.
route::Procedure::Step Conversation::go_on(const protocol::Step& step) {
  if (const auto* request = std::get_if<protocol::Request>(&step)) return go_on(*request);
  turn_.reset();
  if (const auto* pause = std::get_if<protocol::Pause>(&step)) return rest(*pause);
  // The answer and the message may have crossed.
  if (const auto grant = terms_.inbox != nullptr ? terms_.inbox->grant() : std::nullopt) machine_.note_grant(*grant);
  state_ = State::done;
  return Done{};
}

route::Procedure::Step Conversation::go_on(const protocol::Request& request) {
  request_ = request;
  const bool may_be_woken = request_.wants_wake_ups || request_.wants_invalidation;
  if (terms_.inbox != nullptr && may_be_woken) terms_.inbox->open();
  return reach();
}

route::Procedure::Step Conversation::reach() {
  asks_once_ = false;
  server_ = authority_ = terms_.at != nullptr ? terms_.at : &router_.server_for(slot_);
  if (turn_ && !turn_->is_of(server_->throttle())) turn_.reset();
  return reach_server();
}

route::Procedure::Step Conversation::reach_server() {
  state_ = State::reaching;
  const bool may_dial = terms_.dials && !(terms_.spares_absent && server_->seems_away());
  return Reach{.until = reach_until(), .dials = may_dial, .at = terms_.by_lane ? &server_->lane() : server_};
}

/// One server of a cluster is not waited for while another may take over.
Instant Conversation::reach_until() const {
  return may_be_replaced() ? std::min<Instant>(terms_.deadline, environment_.now() + look_elsewhere_after)
                           : terms_.deadline;
}

bool Conversation::may_be_replaced() const noexcept {
  const route::Cluster* const cluster = router_.cluster();
  return cluster != nullptr && cluster->is_known() && terms_.at == nullptr;
}

route::Procedure::Step Conversation::restart(Instant now) {
  const bool failed = failure_.has_value();
  const State where = failed ? failed_in_ : state_;
  failure_.reset();
  pauses_ = 0;
  last_pause_ = false;
  switch (where) {
    // The link may have broken while nobody listened, and what came meanwhile has woken nobody.
    case State::resting:
    case State::done: return take_mail(true, now);
    case State::asking:
    case State::loading: return go_on(machine_.unanswered());
    default: return terms_.inbox != nullptr && !terms_.inbox->empty() ? take_mail(true, now) : reach();
  }
}

route::Procedure::Step Conversation::fail(Failure failure) {
  turn_.reset();
  failed_in_ = std::exchange(state_, State::done);
  failure_ = std::move(failure);
  return Done{};
}

// ---- a request ------------------------------------------------------------------------------------------------------

route::Procedure::Step Conversation::on(Reached& reached, Instant now) {
  link_ = reached.link;
  return asks_with_others() ? queue_up(now) : prepare(now);
}

/// What the server is to know before it is asked.
route::Procedure::Step Conversation::prepare(Instant now) {
  if (wants_anything(wanted_)) wanted_ = {};
  if (asks_once_) return ask(now);
  const bool wants_pushes = request_.wants_wake_ups || request_.wants_invalidation;
  // A server without sharded channels would not know what to do with a place that names one.
  const bool has_guessed = std::exchange(guesses_mailbox_, false);
  if (has_guessed && !wants_pushes && !machine_.mailbox().empty())
    machine_.note_mailbox(server_->pushes().mailbox(slot_));
  if (wants_pushes) want_pushes();
  return ask(now);
}

void Conversation::want_pushes() {
  Pushes& pushes = server_->pushes();
  const auto news = request_.wants_wake_ups ? Pushes::News::messages : Pushes::News::changes;
  const bool needs_channel = slot_ != protocol::no_slot && request_.wants_wake_ups;
  if (needs_channel && (!channel_ || !channel_->is_of(pushes))) channel_.emplace(pushes, slot_);
  if (pushes.incomplete(link_, slot_, news)) wanted_ = pushes.wanted(link_, slot_, news);
}

/// What came of it; how many of the answers that are. A place that names a channel which is not to be had is changed: see tell().
std::size_t Conversation::note_opened(std::span<const Answer> answers) {
  if (!wants_anything(wanted_)) return 0;
  const Pushes::Wanted wanted = std::exchange(wanted_, {});
  std::size_t seen = 0;
  if (!wanted.unused.empty()) {
    const bool is_used = server_->pushes().given_up(link_, wanted.unused, error_of(answers[seen++]));
    if (is_used && terms_.inbox != nullptr) terms_.inbox->note_channel_ended(protocol::slot_of(wanted.unused));
  }
  if (!wanted.subscribe.empty()) {
    const std::string_view error = error_of(answers[seen++]);
    const Pushes::Next next = server_->pushes().subscribed(link_, wanted, error);
    if (next == Pushes::Next::ended && terms_.inbox != nullptr) terms_.inbox->note_channel_ended(wanted.slot);
    server_->note_means(next, route::Server::channels, error);
  }
  if (wanted.tracking) {
    const std::string_view error = error_of(answers[seen++]);
    server_->note_means(server_->pushes().tracked(link_, error), route::Server::tracking, error);
  }
  return seen;
}

route::Procedure::Step Conversation::ask(Instant now) {
  state_ = State::asking;
  begin_commands(now);
  add_opening();
  add_request();
  return send();
}

/// The clock is read before the request leaves: the server starts its countdown later, so our deadline can only be early.
void Conversation::begin_commands(Instant now) {
  sent_at_ = now;
  command_count_ = 0;
  many_.clear();
}

/// In front of the request, so that it costs no way of its own.
void Conversation::add_opening() {
  if (!wanted_.unused.empty()) {
    unsubscribe_ = {"SUNSUBSCRIBE", wanted_.unused};
    add(unsubscribe_, true);
  }
  if (!wanted_.subscribe.empty()) {
    subscribe_ = {wanted_.subscribe, wanted_.channel};
    add(subscribe_, true);
  }
  if (wanted_.tracking) add(track, true);
}

/// All that users of locks need, and the request once more behind it.
route::Procedure::Step Conversation::load(Instant now) {
  state_ = State::loading;
  begin_commands(now);
  const auto& all = protocol::scripts::all;
  std::span<const protocol::Script* const> scripts{all};
  if (std::find(all.begin(), all.end(), request_.script) == all.end()) scripts = {&request_.script, 1};
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    loads_.at(i) = {"SCRIPT", "LOAD", scripts[i]->source};
    add(loads_.at(i), scripts[i] == request_.script);
  }
  add_request();
  return send();
}

void Conversation::add_request() {
  // That would have to stand where ASKING does: right in front of the command.
  const bool tracks = request_.wants_invalidation && !asks_once_ && server_->pushes().may_track();
  if (tracks) add(caching);
  // Redis sends to its clients in the reverse order of their first messages; and the one who is answered first may well
  // keep it from sending the rest, if they share a processor. This makes ours the last.
  if (request_.wakes_others) add(ping);
  add_asking();
  if (request_.joined.empty()) {
    add(request_.arguments, true);
    if (request_.more.empty() && !asks_once_) commands_.at(command_count_ - 1).times = request_.times;
    for (const protocol::Arguments arguments : request_.more) add(arguments, true);
    if (request_.next.empty()) return;
    add_asking();
    add(request_.next, true);
  } else {
    add(multi);
    add(request_.arguments);
    for (const protocol::Arguments joined : request_.joined) add(joined);
    add(exec, true);
  }
}

/// It counts for the next command, or transaction.
void Conversation::add_asking() {
  if (asks_once_) add(asking);
}

void Conversation::add(protocol::Arguments arguments, bool wanted) {
  const Command command{.arguments = arguments, .wanted = wanted, .times = 1};
  if (request_.more.empty()) {
    commands_.at(command_count_++) = command;
  } else {
    many_.push_back(command);
  }
}

route::Procedure::Step Conversation::send() {
  const std::span<const Command> few{commands_.data(), command_count_};
  return Send{.commands = request_.more.empty() ? few : std::span<const Command>{many_}, .until = terms_.deadline};
}

// ---- what comes of it -----------------------------------------------------------------------------------------------

route::Procedure::Step Conversation::on(Answered& answered, Instant now) {
  std::span<const Answer> answers = answered.answers;
  if (state_ == State::loading) {
    // That the server does not let us load it says more than that it does not know it.
    const bool refused = answers.front().type == Answer::Type::error;
    return take_in(refused ? answers.first(1) : answers.subspan(1), now);
  }
  answers = answers.subspan(note_opened(answers));
  if (request_.script != nullptr && is_unknown_script(answers.front())) return load(now);
  return take_in(answers, now);
}

route::Procedure::Step Conversation::take_in(std::span<const Answer> answers, Instant now) {
  Answer answer = answers.front();
  answer.sent_at = sent_at_;
  answer.now = now;
  if (answers.size() > 1) {
    answer.more = answers.subspan(1, request_.more.size());
    const Answer& next = answers.back();
    if (next.type == Answer::Type::integer) answer.next = next.integer;
    const bool fails = request_.needs_next && answer.type != Answer::Type::error;
    if (fails && next.type == Answer::Type::error) {
      answer.type = Answer::Type::error;
      answer.text = next.text;
    }
  }
  server_->note_presence();
  trouble_.reset();
  return answer.type == Answer::Type::error ? refused(answer, now) : tell(answer);
}

route::Procedure::Step Conversation::refused(const Answer& answer, Instant now) {
  using protocol::Verdict;
  const Verdict verdict = protocol::verdict(answer.text);
  const bool leaves = verdict == Verdict::leave;
  const bool concerns_one = verdict == Verdict::moved || verdict == Verdict::ask || verdict == Verdict::split;
  if (!request_.more.empty() && concerns_one) return tell(answer);  // not the others
  switch (verdict) {
    case Verdict::moved:
    case Verdict::ask: return redirected(answer, now);
    case Verdict::split:
      if (const auto step = machine_.split(now)) return go_on(*step);
      break;
    case Verdict::repeat:
    case Verdict::leave:
      if (router_.cluster() != nullptr) router_.cluster()->doubt(*server_);
      break;
    default: return tell(answer);
  }
  trouble_ = Failure{Failure::Kind::refused, std::string{answer.text}};
  if (leaves) server_->note_left(answer.text, now);
  return wait_out(now, leaves ? std::string_view{trouble_->text} : std::string_view{});
}

/// By a server of a cluster. What no cluster was asked for is the caller's to hear.
route::Procedure::Step Conversation::redirected(const Answer& answer, Instant now) {
  route::Cluster* const cluster = router_.cluster();
  if (cluster == nullptr || terms_.at != nullptr) return tell(answer);
  const bool once = protocol::verdict(answer.text) == protocol::Verdict::ask;
  route::Server* const to =
      once ? cluster->asked_elsewhere(*server_, answer.text) : cluster->moved(*server_, answer.text);
  if (to == nullptr) return tell(answer);
  if (answered_link_ == 0) guesses_mailbox_ = true;  // it was another server's
  if (++redirections_ > most_redirections) {
    redirections_ = 0;
    trouble_ = Failure{Failure::Kind::refused, std::string{answer.text}};
    return wait_out(now, {});
  }
  turn_.reset();
  server_ = to;
  if (!once) authority_ = to;
  asks_once_ = once;
  return reach_server();
}

route::Procedure::Step Conversation::tell(const Answer& answer) {
  answered_link_ = link_;
  redirections_ = 0;
  // Also after a look at the key: it may have been the first request on its connection, where nobody can reach us yet.
  const bool may_be_woken = request_.wants_wake_ups || request_.wants_invalidation;
  if (may_be_woken && !asks_once_ && !machine_.mailbox().empty()) {
    const std::string present = server_->pushes().mailbox(slot_);
    if (present != machine_.mailbox()) return go_on(machine_.wake_at(present));
  }
  return go_on(machine_.answered(answer));
}

route::Procedure::Step Conversation::on(Unanswered& unanswered, Instant /*now*/) {
  if (router_.cluster() != nullptr) router_.cluster()->doubt(*server_);
  Step step = go_on(machine_.unanswered());
  Failure& failure = unanswered.failure;
  // The time was up amid one try more, after others that had failed.
  if (failure.kind == Failure::Kind::timed_out && trouble_) failure.text += "; before that: " + trouble_->text;
  if (failure.kind != Failure::Kind::unreachable) return fail(std::move(failure));
  trouble_ = std::move(failure);
  return step;
}

route::Procedure::Step Conversation::on(Unreached& unreached, Instant now) {
  Failure& failure = unreached.failure;
  if (failure.kind == Failure::Kind::cancelled) return fail(std::move(failure));
  if (router_.cluster() != nullptr && terms_.at == nullptr) {
    route::Cluster& cluster = *router_.cluster();
    if (seeds_tried_ < cluster.seed_count() && now < terms_.deadline && cluster.try_next_seed(*server_)) {
      ++seeds_tried_;
      return reach();
    }
    cluster.doubt(*server_);
    if (failure.kind == Failure::Kind::timed_out && now < terms_.deadline) failure.kind = Failure::Kind::unreachable;
  }
  if (failure.kind != Failure::Kind::timed_out || !trouble_) trouble_ = std::move(failure);
  return may_go_by(*trouble_) ? wait_out(now, {}) : give_up_waiting();
}

/// Whether the same request may be sent again after a pause, nothing having been carried out. A machine that waits anyway waits for a
/// server that is away, too; others are told of that at once, unless another server of a cluster may take over.
bool Conversation::may_go_by(const Failure& failure) {
  using Kind = Failure::Kind;
  if (failure.kind == Kind::refused || failure.kind == Kind::turned_away) return true;
  if (failure.kind != Kind::unreachable && failure.kind != Kind::timed_out) return false;
  if (machine_.may_wait()) {
    server_->note_absence(failure);
    return true;
  }
  return may_be_replaced() && !terms_.spares_absent;
}

route::Procedure::Step Conversation::wait_out(Instant now, std::string_view leaves) {
  turn_.reset();
  if (pauses_ == 0)
    pauses_until_ = machine_.may_wait() ? terms_.deadline : std::min(terms_.deadline, now + terms_.patience);
  const auto pause = route::jittered_pause(pauses_++, first_pause, longest_pause, environment_.random_bits());
  const Instant over = std::min<Instant>(pauses_until_, now + pause);
  last_pause_ = over == pauses_until_;
  state_ = State::pausing;
  if (leaves.empty()) return Sleep{.until = over};
  return Leave{.refusal = leaves, .then = {.until = over}};
}

route::Procedure::Step Conversation::give_up_waiting() {
  if (trouble_->kind != Failure::Kind::refused) return fail(*trouble_);
  const std::string text = trouble_->text;
  return go_on(machine_.answered({.type = Answer::Type::error, .text = text, .now = environment_.now()}));
}

}  // namespace redismutex::engine
