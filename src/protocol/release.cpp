#include "protocol/release.hpp"

#include "protocol/verdict.hpp"

namespace redismutex::protocol {
namespace {

// So many runs in one write, where many dead waiters are known to be in line.
constexpr int runs_at_once = 16;

}  // namespace

Release::Release(const Key& key, const OwnerId& id, const Terms& terms)
    : terms_{terms},
      key_{key},
      id_{id},
      token_{terms.token == 0 ? std::string{} : std::to_string(terms.token)},
      details_{terms.details},
      former_details_{terms.former_details},
      deletion_{terms.label == Label::none ? terms.deletion : Deletion::by_script} {}

Step Release::start(Instant now) {
  started_in_lease_ = now < terms_.valid_until;
  return request();
}

Request Release::request() {
  switch (deletion_) {
    case Deletion::by_delifeq:
      command_ = {"DELIFEQ", key_.text(), id_.text()};
      return deletion(Arguments{command_}.first(3));
    case Deletion::by_delex:
      command_ = {"DELEX", key_.text(), "IFEQ", id_.text()};
      return deletion(Arguments{command_}.first(4));
    default: return script();
  }
}

/// By the server's own command, which knows nothing of the line.
Request Release::deletion(Arguments command) {
  is_line_there_ = {"EXISTS", key_.line()};
  return {.arguments = command, .next = is_line_there_};
}

/// Those in line find the key free when they look. A fenced lock waits, because its token has to be remembered, and so does what hands
/// over for the dead; either ends by itself at the worst. What is left of a place in line is so, too.
std::optional<Step> Release::split(Instant /*now*/) {
  if (alone_ || terms_.token != 0 || more_ || terms_.dead == Dead::clear) return std::nullopt;
  deletion_ = Deletion::by_script;
  alone_ = true;
  return script();
}

/// The label is named only where there may be one, and the former details are left out where there are none.
Request Release::script() {
  std::size_t size = 0;
  const auto add = [&](const auto&... words) { ((command_[size++] = words), ...); };
  const bool names_label = terms_.label != Label::none;
  if (alone_) {
    add("EVALSHA", scripts::release.sha1, "1", key_.text());
  } else {
    add("EVALSHA", scripts::release.sha1, names_label ? "4" : "3", key_.text(), key_.line(), key_.floor());
    if (names_label) add(key_.about());
  }
  add(id_.text(), token_, details_);
  if (!former_details_.empty()) add(former_details_);
  return {.arguments = Arguments{command_}.first(size),
          .script = &scripts::release,
          .times = more_ ? runs_at_once : 1,
          .wakes_others = terms_.waiters == Waiters::likely};
}

Step Release::answered(const Answer& answer) {
  enum { not_ours, released, ask_again };
  if (deletion_ != Deletion::by_script && answer.type == Answer::Type::error) {
    // The script says it better, whatever it is.
    deletion_ = Deletion::by_script;
    deletion_refused_ = verdict(answer.text) == Verdict::forbidden;
    return request();
  }
  if (answer.type != Answer::Type::integer) {
    if (!deleted_) outcome_ = refusal(answer, "release");
    return Done{};
  }
  if (deletion_ != Deletion::by_script && answer.integer == released) {
    outcome_ = Released{};
    if (answer.next == 0) return Done{};
    deleted_ = true;
    deletion_ = Deletion::by_script;
    return request();
  }
  if (answer.integer == ask_again) {
    more_ = true;
    outcome_ = Released{};
    if (terms_.dead == Dead::clear) return request();
    return Done{};
  }
  // "Not ours" after an attempt whose answer was lost: within the lease only that attempt can have removed it.
  if (answer.integer == released || (in_doubt_ && started_in_lease_)) outcome_ = Released{};
  more_ = false;
  return Done{};
}

Step Release::unanswered() {
  in_doubt_ = true;
  deletion_ = Deletion::by_script;  // the next server may be another one
  return request();
}

}  // namespace redismutex::protocol
