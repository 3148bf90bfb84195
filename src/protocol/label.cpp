#include "protocol/label.hpp"

namespace redismutex::protocol {
namespace {

std::string value_of(const OwnerId& id, const WriteLabel::Terms& terms) {
  return std::string{"1 "}
      .append(id.text())
      .append(" ")
      .append(std::to_string(terms.since.count()))
      .append(" ")
      .append(terms.left ? "-" : "")
      .append(std::to_string(terms.expiry.count()))
      .append(" ")
      .append(std::to_string(terms.token))
      .append(" ")
      .append(terms.text.substr(0, longest_label_text));
}

}  // namespace

WriteLabel::WriteLabel(const Key& key, const OwnerId& id, const Terms& terms)
    : key_{key},
      value_{value_of(id, terms)},
      lasts_ms_{std::to_string(terms.lasts.count())},
      arguments_{"SET", key.about(), value_, "PX", lasts_ms_} {}

Step WriteLabel::start(Instant /*now*/) { return Request{.arguments = arguments_}; }

Step WriteLabel::answered(const Answer& answer) {
  if (answer.type != Answer::Type::text) outcome_ = refusal(answer, "SET");
  return Done{};
}

Step WriteLabel::unanswered() { return Request{.arguments = arguments_}; }

}  // namespace redismutex::protocol
