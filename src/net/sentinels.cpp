#include "net/sentinels.hpp"

#include <algorithm>
#include <utility>

#include "net/url.hpp"

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;

// Those who have not answered by then are not waited for, if any has. There must be time left to reach the server that is named.
std::chrono::milliseconds time_to_answer_of(const ConnectionOptions& options) {
  constexpr auto usual = 300ms;
  return std::min<std::chrono::milliseconds>(usual, options.connect_timeout / 3);
}

// Whoever looks for a server, or makes sure of the one that is there, asks again sooner than that after the end of a search.
constexpr auto between_searches = 2s;

// What sentinels say of each other must not make us dial the world.
constexpr std::size_t most_sentinels = 16;

ConnectionOptions towards_sentinels(const ConnectionOptions& options) {
  ConnectionOptions towards;
  towards.username = options.sentinel_username;
  towards.password = options.sentinel_password;
  towards.tls = options.tls;
  towards.connect_timeout = options.connect_timeout;
  towards.command_timeout = options.command_timeout;
  towards.client_name = options.client_name.empty() ? "redismutex" : options.client_name;
  return towards;
}

}  // namespace

// ---- whom to follow ------------------------------------------------------------------------------------------------

/// With the lock held.
bool FollowedEpoch::allows_now(std::int64_t epoch, Deadline now) noexcept {
  if (epoch >= epoch_) return true;
  // While nobody has asked, nobody could tell of a higher one.
  const bool was_asked = last_lower_at_ && now <= *last_lower_at_ + patience_ + between_searches;
  if (was_asked) asked_for_ += now - *last_lower_at_;
  last_lower_at_ = now;
  return asked_for_ >= patience_;
}

bool FollowedEpoch::allows(std::int64_t epoch, Deadline now) {
  const std::lock_guard lock{mutex_};
  return allows_now(epoch, now);
}

bool FollowedEpoch::follow(std::int64_t epoch, Deadline now) {
  const std::lock_guard lock{mutex_};
  if (!allows_now(epoch, now)) return false;
  epoch_ = epoch;
  last_lower_at_.reset();
  asked_for_ = {};
  return true;
}

bool FollowedEpoch::is_past(std::int64_t epoch) const {
  const std::lock_guard lock{mutex_};
  return epoch < epoch_;
}

Deadline FollowedEpoch::allows_any_at() const {
  const std::lock_guard lock{mutex_};
  return last_lower_at_ ? *last_lower_at_ + (patience_ - asked_for_) : Deadline::max();
}

// ---- one sentinel ---------------------------------------------------------------------------------------------------

class SentinelSearch::Question {
 public:
  Question(Dialler& whom, const std::string& master, bool counts_replicas, Deadline now)
      : whom_{whom}, words_{sentinel::questions(master)}, attempt_{whom, now} {
    if (!counts_replicas) return;
    replicas_words_ = sentinel::question_for_replicas(master);
    replicas_call_.emplace();
  }

  /// Goes on; none if there is an outcome.
  std::optional<Awaited> step(Deadline now) {
    // One that talks without end must not keep the caller from its time limit, nor from the others.
    constexpr int most_reads = 16;
    for (int reads = 0; !outcome_; ++reads) {
      if (reads == most_reads) return dialogue_->again(now);
      if (auto stuck = dialogue_ ? ask(now) : reach(now)) return stuck;
    }
    return std::nullopt;
  }

  const ServerAddress& address() const noexcept { return whom_.address(); }
  bool is_over() const noexcept { return outcome_.has_value(); }
  const sentinel::Answer* answer() const { return outcome_ ? std::get_if<sentinel::Answer>(&*outcome_) : nullptr; }

  /// Why it names no master; for people.
  Failure failure() const {
    const std::string who = display_name(whom_.address()) + ": ";
    if (!outcome_) return {Failure::Kind::timed_out, who + attempt_.unfinished().text};
    if (const auto* failure = std::get_if<Failure>(&*outcome_)) return {failure->kind, who + failure->text};
    const auto& answer = std::get<sentinel::Answer>(*outcome_);
    const auto kind = answer.knows_no_such_name ? Failure::Kind::unusable : Failure::Kind::unreachable;
    return {kind, who + answer.refusal};
  }

 private:
  std::optional<Awaited> reach(Deadline now) {
    auto step = attempt_.step(now);
    if (const auto* awaited = std::get_if<Awaited>(&step)) return *awaited;
    if (auto* failure = std::get_if<Failure>(&step)) {
      outcome_ = std::move(*failure);
      return std::nullopt;
    }
    auto& logged_in = std::get<LoggedIn>(step);
    dialogue_.emplace(std::move(logged_in.stream), std::move(logged_in.wire));
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      dialogue_->wire().submit(&calls_[i], words_[i], now + whom_.options.command_timeout);
    }
    if (replicas_call_) {
      dialogue_->wire().submit(&*replicas_call_, replicas_words_, now + whom_.options.command_timeout);
    }
    return std::nullopt;
  }

  std::optional<Awaited> ask(Deadline now) {
    auto stuck = dialogue_->exchange(now, whom_.options.command_timeout);
    const bool are_answered =
        std::all_of(calls_.begin(), calls_.end(), [](const Call& call) { return call.answered(); });
    if (are_answered && (!replicas_call_ || replicas_call_->answered())) {
      sentinel::Answer answer = sentinel::read(std::array{calls_[0].reply(), calls_[1].reply(), calls_[2].reply()});
      if (replicas_call_) answer.replicas = sentinel::count_replicas(replicas_call_->reply());
      outcome_ = std::move(answer);
    } else if (stuck) {
      if (const auto* awaited = std::get_if<Awaited>(&*stuck)) return *awaited;
      outcome_ = std::move(std::get<Failure>(*stuck));
    }
    return std::nullopt;
  }

  Dialler& whom_;
  const sentinel::Questions words_;
  Attempt attempt_;
  std::array<Call, sentinel::question_count> calls_;
  std::array<std::string_view, 3> replicas_words_{};
  std::optional<Call> replicas_call_;
  std::optional<Dialogue> dialogue_;  // has the calls in flight
  std::optional<std::variant<sentinel::Answer, Failure>> outcome_;
};

// ---- a search -------------------------------------------------------------------------------------------------------

SentinelSearch::SentinelSearch(Sentinels& sentinels, std::span<const std::unique_ptr<Dialler>> whom, std::size_t enough,
                               Deadline now)
    : sentinels_{sentinels}, enough_{enough}, settles_at_{now + time_to_answer_of(sentinels.options_)} {
  questions_.reserve(whom.size());
  for (const auto& dialler : whom) {
    questions_.push_back(std::make_unique<Question>(*dialler, sentinels.master_, sentinels.counts_replicas_, now));
  }
}

SentinelSearch::~SentinelSearch() = default;

std::variant<Awaited, ServerAddress, Failure> SentinelSearch::step(Deadline now) {
  std::vector<Awaited> awaited;
  for (const auto& question : questions_) {
    if (auto waits = question->step(now)) awaited.push_back(*waits);
  }
  if (is_settled(now)) return outcome(now);
  Awaited any = any_of_.await(awaited);
  any.until = std::min(any.until, next_look(now));
  return any;
}

/// When it may be settled although nobody has said anything more.
Deadline SentinelSearch::next_look(Deadline now) const {
  if (now < settles_at_) return settles_at_;
  const Deadline at = sentinels_.followed_->allows_any_at();
  return at > now ? at : Deadline::max();
}

bool SentinelSearch::is_settled(Deadline now) const {
  const auto is_over = [](const auto& question) { return question->is_over(); };
  const auto names_one = [&](const auto& question) {
    const sentinel::Answer* const answer = question->answer();
    return answer != nullptr && answer->master && sentinels_.followed_->allows(answer->epoch, now);
  };
  if (std::all_of(questions_.begin(), questions_.end(), is_over)) return true;
  if (now < settles_at_) return false;
  return static_cast<std::size_t>(std::count_if(questions_.begin(), questions_.end(), names_one)) >= enough_;
}

std::variant<Awaited, ServerAddress, Failure> SentinelSearch::outcome(Deadline now) const {
  std::vector<sentinel::Answer> answers;
  std::vector<ServerAddress>& others = sentinels_.others_;
  others.clear();
  for (const auto& question : questions_) {
    const sentinel::Answer* const answer = question->answer();
    if (answer == nullptr) continue;
    answers.push_back(*answer);
    others.push_back(question->address());  // it names the others only
    others.insert(others.end(), answer->others.begin(), answer->others.end());
  }
  const sentinel::Answer* const chosen = sentinel::choose(answers);
  if (chosen == nullptr) return failure();
  const auto votes = std::count_if(answers.begin(), answers.end(), [chosen](const sentinel::Answer& answer) {
    return answer.master == chosen->master;
  });
  const bool are_too_few = sentinels_.followed_->is_past(chosen->epoch) && static_cast<std::size_t>(votes) < enough_;
  if (are_too_few || !sentinels_.followed_->follow(chosen->epoch, now)) {
    return Failure{Failure::Kind::unreachable,
                   "others have told of a later failover than the sentinels that answer, which name " +
                       display_name(*chosen->master)};
  }
  for (const sentinel::Answer& answer : answers) {
    if (answer.master == chosen->master && answer.replicas) {
      sentinels_.replicas_ = std::max(sentinels_.replicas_.value_or(0), *answer.replicas);
    }
  }
  return *chosen->master;
}

/// Permanent if that of each of them is.
Failure SentinelSearch::failure() const {
  Failure all{Failure::Kind::unusable, "no sentinel names the server '" + sentinels_.master_ + "'"};
  for (const auto& question : questions_) {
    const Failure one = question->failure();
    const bool is_first = &question == &questions_.front();
    all.text.append(is_first ? ": " : "; ").append(one.text);
    if (is_first || (all.permanent() && !one.permanent())) all.kind = one.kind;
  }
  return all;
}

// ---- all of them ----------------------------------------------------------------------------------------------------

namespace {

std::shared_ptr<FollowedEpoch> no_epoch_yet(const ConnectionOptions& options) {
  return std::make_shared<FollowedEpoch>(options.connect_timeout);
}

}  // namespace

Sentinels::Sentinels(const ConnectionOptions& options) : Sentinels{options, no_epoch_yet(options)} {}

Sentinels::Sentinels(const ConnectionOptions& options, const Sentinels& other) : Sentinels{options, other.followed_} {}

Sentinels::Sentinels(const ConnectionOptions& options, std::shared_ptr<FollowedEpoch> followed)
    : options_{towards_sentinels(options)},
      master_{options.master},
      named_by_user_{options.nodes.size()},
      followed_{std::move(followed)} {
  if (options.tls) tls_ = make_tls(*options.tls);
  for (const ServerAddress& node : options.nodes) add(node);
}

Sentinels::~Sentinels() = default;

void Sentinels::add(const ServerAddress& address) {
  known_.push_back(std::make_unique<Dialler>(options_,
                                             Dialler::Way{.address = address, .tls = tls_, .to_sentinel = true},
                                             [this](const Greeting&) { return options_.client_name; }));
}

/// Those that the user names stay; of the others, those that were named the last time.
void Sentinels::take_up_others() {
  if (others_.empty()) return;
  known_.resize(named_by_user_);
  for (const ServerAddress& other : std::exchange(others_, {})) {
    const auto is_known = [&](const auto& dialler) { return dialler->address() == other; };
    if (known_.size() >= most_sentinels) return;
    if (std::none_of(known_.begin(), known_.end(), is_known)) add(other);
  }
}

std::unique_ptr<SentinelSearch> Sentinels::ask_all(Deadline now) {
  take_up_others();
  return std::make_unique<SentinelSearch>(*this, known_, 1, now);
}

std::unique_ptr<SentinelSearch> Sentinels::ask_most(Deadline now) {
  take_up_others();
  return std::make_unique<SentinelSearch>(*this, known_, known_.size() / 2 + 1, now);
}

std::unique_ptr<SentinelSearch> Sentinels::ask_next(Deadline now) {
  constexpr std::size_t more_than_it = 2;
  next_ = (next_ + 1) % known_.size();
  return std::make_unique<SentinelSearch>(*this, std::span{known_}.subspan(next_, 1), more_than_it, now);
}

}  // namespace redismutex::net
