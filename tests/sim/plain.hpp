#pragma once

#include <optional>
#include <string>

#include "protocol/exchange.hpp"
#include "protocol/machine.hpp"

namespace redismutex::sim {

/// One command, once.
class Plain final : public protocol::Machine {
 public:
  explicit Plain(protocol::Arguments arguments) : arguments_{arguments} {}

  struct Answered {
    protocol::Answer::Type type;
    protocol::Instant sent_at;
  };
  const std::optional<Answered>& answer() const noexcept { return answer_; }

  protocol::Step start(protocol::Instant /*now*/) override { return protocol::Request{.arguments = arguments_}; }
  protocol::Step answered(const protocol::Answer& answer) override {
    answer_ = {answer.type, answer.sent_at};
    return protocol::Done{};
  }
  protocol::Step unanswered() override { return protocol::Done{}; }

 private:
  const protocol::Arguments arguments_;
  std::optional<Answered> answer_;
};

}  // namespace redismutex::sim
