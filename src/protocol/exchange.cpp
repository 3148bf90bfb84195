#include "protocol/exchange.hpp"

#include "protocol/verdict.hpp"

namespace redismutex::protocol {
namespace {

/// Without what servers from 7.0 on say of the script in which a command failed: its digest and line, which tell a user nothing.
std::string_view without_script(std::string_view error) { return error.substr(0, error.find(" script: ")); }

}  // namespace

Refusal refusal(const Answer& answer, std::string_view command) {
  if (answer.type == Answer::Type::error) {
    return {std::string{error_code(answer.text)}, std::string{without_script(answer.text)}};
  }
  return {"UNEXPECTED", "UNEXPECTED answer to " + std::string{command}};
}

}  // namespace redismutex::protocol
