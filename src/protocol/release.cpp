#include "protocol/release.hpp"

#include "protocol/verdict.hpp"

namespace redismutex::protocol {
namespace {

// So many runs in one write, where many dead waiters are known to be in line.
constexpr int runs_at_once = 16;

}  // namespace

Release::Release(const Key& key, const OwnerId& id, const Terms& terms)
    : terms_{terms},
      token_{terms.token == 0 ? std::string{} : std::to_string(terms.token)},
      details_{terms.details},
      former_details_{terms.former_details},
      by_script_{script(key, id)},
      by_delifeq_{"DELIFEQ", key.text(), id.text()},
      by_delex_{"DELEX", key.text(), "IFEQ", id.text()},
      is_line_there_{"EXISTS", key.line()},
      deletion_{terms.label == Label::none ? terms.deletion : Deletion::by_script} {}

/// The former details are left out where there are none.
Release::Script Release::script(const Key& key, const OwnerId& id) const {
  if (terms_.label == Label::none) {
    return {"EVALSHA", scripts::release.sha1, "3", key.text(), key.line(), key.floor(), id.text(), token_,
            details_,  former_details_};
  }
  return {"EVALSHA", scripts::release.sha1, "4", key.text(), key.line(), key.floor(), key.about(), id.text(), token_,
          details_,  former_details_};
}

Step Release::start(Instant now) {
  started_in_lease_ = now < terms_.valid_until;
  return request();
}

Request Release::request() const {
  if (deletion_ == Deletion::by_delifeq) return {.arguments = by_delifeq_, .next = is_line_there_};
  if (deletion_ == Deletion::by_delex) return {.arguments = by_delex_, .next = is_line_there_};
  const std::size_t left_out = std::size_t{former_details_.empty()} + std::size_t{terms_.label == Label::none};
  return {.arguments = Arguments{by_script_}.first(by_script_.size() - left_out),
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
