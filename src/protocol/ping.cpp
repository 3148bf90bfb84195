#include "protocol/ping.hpp"

namespace redismutex::protocol {

Step Ping::start(Instant /*now*/) { return Request{.arguments = arguments_}; }

Step Ping::answered(const Answer& answer) {
  if (answer.type != Answer::Type::text) outcome_ = refusal(answer, "PING");
  return Done{};
}

Step Ping::unanswered() { return Request{.arguments = arguments_}; }

}  // namespace redismutex::protocol
