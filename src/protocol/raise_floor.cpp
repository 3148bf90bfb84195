#include "protocol/raise_floor.hpp"

namespace redismutex::protocol {

RaiseFloor::RaiseFloor(const Key& key, const Terms& terms)
    : key_{key},
      token_{std::to_string(terms.token)},
      lasts_ms_{std::to_string(terms.lasts.count())},
      arguments_{"EVALSHA", scripts::raise.sha1, "1", key.floor(), token_, lasts_ms_} {}

Step RaiseFloor::start(Instant /*now*/) { return request(); }

Step RaiseFloor::answered(const Answer& answer) {
  if (answer.type != Answer::Type::integer) outcome_ = refusal(answer, scripts::raise.name);
  return Done{};
}

Step RaiseFloor::unanswered() { return request(); }

}  // namespace redismutex::protocol
