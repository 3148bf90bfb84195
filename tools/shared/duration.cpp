#include "shared/duration.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace redismutex::cli {
namespace {

using std::chrono::milliseconds;

/// How many seconds the unit has; 0: it is none.
double seconds_in(const std::string& unit) {
  if (unit.empty() || unit == "s") return 1;
  if (unit == "m") return 60;
  if (unit == "h") return 60 * 60;
  if (unit == "d") return 24 * 60 * 60;
  return 0;
}

std::string in_seconds(milliseconds duration) {
  std::ostringstream text;
  text.precision(12);
  text << std::chrono::duration<double>{duration}.count() << " s";
  return text.str();
}

}  // namespace

milliseconds parse_duration(const std::string& option, const std::string& text, SecondsRange range) {
  const auto unit_at = std::min(text.find_last_of(".0123456789") + 1, text.size());  // 0 if there is no digit
  const auto number = text.substr(0, unit_at);
  const double unit = seconds_in(text.substr(unit_at));
  char* end = nullptr;
  const double count = std::strtod(number.c_str(), &end);
  if (number.empty() || number.find_first_not_of("-.0123456789") != std::string::npos || *end != '\0' || unit == 0) {
    throw CLI::ValidationError(option, "'" + text + "' is no duration, as 90 (seconds), 30m, 2h and 1d are");
  }
  const std::chrono::duration<double> duration{count * unit};
  if (duration > range.most) {
    throw CLI::ValidationError(option, text + " is too much: at most " + in_seconds(range.most));
  }
  if (duration < range.least) {
    throw CLI::ValidationError(option, text + " is too little: at least " + in_seconds(range.least));
  }
  return std::chrono::ceil<milliseconds>(duration);
}

}  // namespace redismutex::cli
