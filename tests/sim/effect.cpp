#include "sim/effect.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <sstream>

#include "memory/arguments.hpp"

namespace redismutex::sim {
namespace {

using memory::upper;

/// The two servers look at their clocks at slightly different times.
bool are_close(std::int64_t a, std::int64_t b) {
  if (a > 1'000'000'000'000 && b > 1'000'000'000'000) return std::abs(a - b) < 5'000'000;
  // What is more than a hundred is a time to live: no count is.
  return a == b || (a > 100 && b > 100 && std::abs(a - b) < 5'000);
}

/// What kind of error it is: Redis 6 has that behind places in the script. Which of two reasons for a refusal they name is
/// their own business.
std::string code(std::string text) {
  const auto place = text.rfind("user_script:");
  if (place != std::string::npos && (text.starts_with("ERR Error running") || text.starts_with("@user_script"))) {
    text.erase(0, std::min(text.find_first_not_of("-0123456789: ", place + 12), text.size()));
  }
  const std::string word = text.substr(0, text.find(' '));
  if (word == "NOREPLICAS") return "OOM";
  return word == upper(word) ? word : "ERR";
}

/// The times of the server are also in scores, and in tokens.
bool alike_texts(const std::string& a, const std::string& b) {
  const bool are_times =
      a.size() == 16 && b.size() == 16 && (a + b).find_first_not_of("0123456789") == std::string::npos;
  return are_times ? are_close(std::stoll(a), std::stoll(b)) : a == b;
}

/// "id claim seconds microseconds token" without the server's time, and the token that is made of it.
std::string without_times(const std::string& message) {
  std::istringstream words{message};
  std::string id, claim, seconds, microseconds, token;
  words >> id >> claim >> seconds >> microseconds >> token;
  if (claim == "first") return id + ' ' + claim;
  return id + ' ' + claim + (token.empty() || token == "0" ? token : " token");
}

}  // namespace

std::string shown(const Value& value) {
  std::string text = "(" + std::to_string(static_cast<int>(value.kind)) + ")" + value.text;
  if (value.kind == Value::Kind::integer) text += std::to_string(value.integer);
  for (const Value& element : value.elements) text += " " + shown(element);
  return text;
}

bool alike(const Value& a, const Value& b) {
  if (a.kind != b.kind || a.elements.size() != b.elements.size() || !are_close(a.integer, b.integer)) return false;
  if (a.kind == Value::Kind::error) return code(a.text) == code(b.text);
  // REPLICAOF says more than OK if there is nothing to do.
  if (a.kind == Value::Kind::status ? a.text.substr(0, 2) != b.text.substr(0, 2) : !alike_texts(a.text, b.text))
    return false;
  for (std::size_t i = 0; i < a.elements.size(); ++i) {
    if (!alike(a.elements[i], b.elements[i])) return false;
  }
  return true;
}

void forget_times(std::vector<Value>& pushes) {
  for (Value& push : pushes) {
    if (push.elements.size() == 3 && push.elements[0].text.ends_with("message")) {
      push.elements[2].text = without_times(push.elements[2].text);
    }
  }
}

}  // namespace redismutex::sim
