#include "protocol/exchange.hpp"

#include "protocol/verdict.hpp"

namespace redismutex::protocol {

Refusal refusal(const Answer& answer, std::string_view command) {
  if (answer.type == Answer::Type::error) {
    return {std::string{error_code(answer.text)}, std::string{answer.text}};
  }
  return {"UNEXPECTED", "UNEXPECTED answer to " + std::string{command}};
}

}  // namespace redismutex::protocol
