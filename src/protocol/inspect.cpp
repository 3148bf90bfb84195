#include "protocol/inspect.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <locale>
#include <sstream>
#include <utility>

#include "protocol/label.hpp"
#include "protocol/number.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/verdict.hpp"

namespace redismutex::protocol {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// What lives are scored above: see lua/line.lua.
constexpr double apart = 4e15;

// A moment that an id tells is believed within these limits. Others' UUIDs are random there: of a hundred, less than one is believed.
constexpr std::chrono::hours longest_ago{24 * 366};
constexpr std::chrono::hours longest_ahead{24};

/// As servers write it, in whatever form. Not by std::from_chars(), for which each program would load libm.
std::optional<double> score_in(std::string_view text) {
  if (text.ends_with("inf") || text.ends_with("nan")) return std::numeric_limits<double>::quiet_NaN();  // none of ours
  std::istringstream stream{std::string{text}};
  stream.imbue(std::locale::classic());
  double score = 0;
  if (!(stream >> score) || stream.peek() != std::istringstream::traits_type::eof()) return std::nullopt;
  return score;
}

/// A score that is a moment in microseconds.
WallTime moment(double score) { return WallTime{microseconds{static_cast<std::int64_t>(score)}}; }

/// The strings of an answer, one after the other. After one that is missing, or is not what it should be, nothing counts.
class Reader {
 public:
  explicit Reader(const std::vector<std::optional<std::string_view>>& texts) : texts_{texts} {}

  std::optional<std::string_view> optional_text() {
    if (at_ < texts_.size()) return texts_[at_++];
    good_ = false;
    return std::nullopt;
  }

  std::string_view text() {
    const auto found = optional_text();
    good_ = good_ && found;
    return found.value_or(std::string_view{});
  }

  template <std::integral Number>
  Number number() {
    return found_or_bad(number_in<Number>(text()));
  }

  double score() { return found_or_bad(score_in(text())); }

  bool good() const noexcept { return good_; }
  bool at_end() const noexcept { return at_ == texts_.size(); }

 private:
  template <class Number>
  Number found_or_bad(std::optional<Number> found) {
    good_ = good_ && found;
    return found.value_or(Number{});
  }

  const std::vector<std::optional<std::string_view>>& texts_;
  std::size_t at_ = 0;
  bool good_ = true;
};

struct Origin {
  std::string tag;
  WallTime asked_at;
};

/// Where an id comes from. None if it is no id of this library's.
std::optional<Origin> origin_of(std::string_view id, WallTime now) {
  const auto parts = read_owner_id(id);
  if (!parts) return std::nullopt;
  const WallTime asked_at{parts->asked_at};
  if (asked_at < now - longest_ago || asked_at > now + longest_ahead) return std::nullopt;
  return Origin{parts->tag.text(), asked_at};
}

void add_once(std::vector<std::string>& rights, std::string_view right) {
  if (std::find(rights.begin(), rights.end(), right) == rights.end()) rights.emplace_back(right);
}

/// The digit of a place, see lua/line.lua: none if a newer version wrote it.
std::optional<int> flags_of(std::string_view details) {
  const char digit = details.front();
  if (digit < '0' || digit > '7') return std::nullopt;
  return digit - '0';
}

void read_place(Reader& reader, std::size_t position, Inspection& seen) {
  const std::string_view place = reader.text();
  const auto ticket = reader.score();
  const bool alive = reader.text() == "1";
  const std::string_view listeners = reader.text();
  if (!reader.good()) return;
  const std::string_view id = place.substr(0, OwnerId::size);
  const bool has_ticket = ticket >= 0 && ticket < apart;  // not where it is no number
  if (place.size() <= OwnerId::size || !read_owner_id(id) || !has_ticket) {
    ++seen.unreadable;
    return;
  }
  Waiter& waiter = seen.waiters.emplace_back();
  waiter.position = position;
  waiter.id = id;
  waiter.details = place.substr(OwnerId::size);
  if (const auto origin = origin_of(id, seen.seen_at)) {
    waiter.tag = origin->tag;
    waiter.asked_at = origin->asked_at;
  }
  waiter.waiting_since = moment(ticket);
  waiter.alive = alive;
  const auto flags = flags_of(waiter.details);
  waiter.wants_token = flags && (*flags & 1) != 0;
  if (listeners == "-") {
    const bool sharded =
        waiter.details.substr(std::max<std::size_t>(1, waiter.details.rfind(' ') + 1)).starts_with('s');
    add_once(seen.missing_rights, sharded ? "+pubsub|shardnumsub" : "+pubsub|numsub");
  } else if (!listeners.empty()) {
    waiter.connected = listeners != "0";
  }
}

void read_line(Reader& reader, std::size_t offset, Inspection& seen) {
  seen.waiting = reader.number<std::size_t>();
  const auto places = reader.number<std::int64_t>();
  seen.line_is_broken = places < 0;
  seen.places = places < 0 ? 0 : static_cast<std::size_t>(places);
  const auto told = reader.number<std::size_t>();
  for (std::size_t i = 0; i < told && reader.good(); ++i) read_place(reader, offset + i + 1, seen);
}

void read_key(Reader& reader, Inspection& seen) {
  using State = Inspection::State;
  const auto pttl = reader.number<std::int64_t>();
  seen.value_size = reader.number<std::size_t>();
  seen.value = reader.text();
  if (const auto floor = reader.optional_text()) seen.floor = number_in<std::uint64_t>(*floor);
  const auto label = reader.optional_text();
  if (pttl >= 0) seen.lease_left = milliseconds{pttl};
  if (seen.type == "none") return;
  seen.state = seen.type == "string" ? State::foreign : State::not_a_lock;
  if (seen.state == State::not_a_lock) return;
  if (label) seen.label = read_label(*label, seen.value);
  auto origin = origin_of(seen.value, seen.seen_at);
  if (!origin && !seen.label) return;
  seen.state = State::held;
  if (!origin) return;
  seen.tag = std::move(origin->tag);
  seen.asked_at = origin->asked_at;
}

/// Takes off the first word and the blank behind it.
std::string_view take_word(std::string_view& text) {
  const std::size_t blank = text.find(' ');
  const std::string_view word = text.substr(0, blank);
  text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
  return word;
}

}  // namespace

std::optional<Label> read_label(std::string_view label, std::string_view id) {
  if (id.size() != OwnerId::size || take_word(label) != "1" || take_word(label) != id) return std::nullopt;
  const auto since = number_in<std::int64_t>(take_word(label));
  std::string_view expiry_word = take_word(label);
  const bool left = expiry_word.starts_with('-');
  if (left) expiry_word.remove_prefix(1);
  const auto expiry = number_in<std::int64_t>(expiry_word);
  const auto token = number_in<std::uint64_t>(take_word(label));
  constexpr std::int64_t most = 1'000'000'000'000'000;  // so that no clock overflows
  if (!since || !expiry || !token || *since < 0 || *since > most || *expiry < 0 || *expiry > most) return std::nullopt;
  Label read{.text = std::string{label.substr(0, longest_label_text)},
             .since = WallTime{milliseconds{*since}},
             .expiry = milliseconds{*expiry},
             .left = left};
  if (*token != 0) read.token = *token;
  return read;
}

Inspect::Inspect(std::vector<Key> keys, const Terms& terms)
    : keys_{std::move(keys)},
      terms_{terms},
      batch_{locks_at_once(terms.waiters)},
      waiters_{std::to_string(terms.waiters)},
      offset_{std::to_string(terms.offset)},
      outcome_{std::vector<Inspection>{}} {}

Step Inspect::start(Instant /*now*/) { return next(); }

/// The next keys, if there are any left.
Step Inspect::next() {
  asked_ = std::min(batch_, keys_.size() - done_);
  if (asked_ == 0) return Done{};
  key_count_ = std::to_string(4 * asked_);
  return request();
}

Request Inspect::request() {
  arguments_.assign({read_only_ ? "EVALSHA_RO" : "EVALSHA", scripts::inspect.sha1, key_count_});
  for (std::size_t i = 0; i < asked_; ++i) {
    const Key& key = keys_[done_ + i];
    arguments_.insert(arguments_.end(), {key.text(), key.line(), key.floor(), key.about()});
  }
  arguments_.insert(arguments_.end(), {waiters_, offset_, terms_.which == Which::only_locks ? "1" : "0"});
  return {.arguments = arguments_, .script = &scripts::inspect};
}

Step Inspect::answered(const Answer& answer) {
  if (answer.type == Answer::Type::error && read_only_ && verdict(answer.text) == Verdict::forbidden) {
    read_only_ = false;  // servers before 7.0 do not have it, and it is a right of its own
    return request();
  }
  if (answer.type == Answer::Type::texts && read(answer)) {
    done_ += asked_;
    return next();
  }
  outcome_ = refusal(answer, scripts::inspect.name);
  return Done{};
}

/// Whether it is what the script answers.
bool Inspect::read(const Answer& answer) {
  Reader reader{answer.texts};
  const std::chrono::seconds seconds{reader.number<std::uint32_t>()};
  const WallTime seen_at{seconds + microseconds{reader.number<std::uint32_t>()}};
  std::vector<Inspection> seen;
  for (std::size_t i = 0; i < asked_ && reader.good(); ++i) {
    const std::string_view type = reader.text();
    if (type == "-") continue;
    Inspection& each = seen.emplace_back();
    each.key = keys_[done_ + i].text();
    each.type = type;
    each.seen_at = seen_at;
    read_key(reader, each);
    read_line(reader, terms_.offset, each);
  }
  if (!reader.good() || !reader.at_end()) return false;
  auto& all = std::get<std::vector<Inspection>>(outcome_);
  std::move(seen.begin(), seen.end(), std::back_inserter(all));
  return true;
}

Step Inspect::unanswered() { return request(); }

}  // namespace redismutex::protocol
