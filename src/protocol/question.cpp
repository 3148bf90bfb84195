#include "protocol/question.hpp"

namespace redismutex::protocol {

Step Question::start(Instant /*now*/) { return Request{.arguments = arguments_}; }

Step Question::answered(const Answer& answer) {
  outcome_.refused = answer.type == Answer::Type::error;
  outcome_.text = answer.type == Answer::Type::integer ? std::to_string(answer.integer) : std::string{answer.text};
  for (const auto& text : answer.texts) outcome_.list.emplace_back(text.value_or(""));
  for (const auto number : answer.integers) outcome_.list.push_back(std::to_string(number));
  return Done{};
}

Step Question::unanswered() { return Request{.arguments = arguments_}; }

}  // namespace redismutex::protocol
