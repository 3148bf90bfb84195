#include "protocol/exchange.hpp"

namespace redismutex::protocol {

Refusal refusal(const Answer& answer, std::string_view command) {
  if (answer.type == Answer::Type::error) {
    return {std::string{answer.text.substr(0, answer.text.find(' '))}, std::string{answer.text}};
  }
  return {"UNEXPECTED", "UNEXPECTED answer to " + std::string{command}};
}

}  // namespace redismutex::protocol
