#include "shared/duration.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <utility>

namespace redismutex::cli {
namespace {

using std::chrono::milliseconds;

std::optional<double> read(const std::string& number) {
  // Not std::from_chars(), which would have libm loaded for each run: 2 % of the time of `run true`.
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  if (number.empty() || number.find_first_not_of("-.0123456789") != std::string::npos || *end != '\0')
    return std::nullopt;
  return value;
}

/// How many seconds the unit has; 0: it is none.
double seconds_in(const std::string& unit) {
  if (unit == "ms") return 1e-3;
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

milliseconds within(DurationRange range, double seconds, const std::string& option, const std::string& text) {
  const std::chrono::duration<double> duration{seconds};
  if (duration > range.most) {
    throw CLI::ValidationError(option, text + " is too much: at most " + in_seconds(range.most));
  }
  if (duration < range.least) {
    throw CLI::ValidationError(option, text + " is too little: at least " + in_seconds(range.least));
  }
  return std::chrono::ceil<milliseconds>(duration);
}

}  // namespace

milliseconds parse_duration(const std::string& option, const std::string& text, DurationRange range) {
  const auto unit_at = std::min(text.find_last_of(".0123456789") + 1, text.size());  // 0 if there is no digit
  const auto count = read(text.substr(0, unit_at));
  const double unit = seconds_in(text.substr(unit_at));
  if (!count || unit == 0) {
    throw CLI::ValidationError(option, "'" + text + "' is no duration, as 90 (seconds), 200ms, 30m, 2h and 1d are");
  }
  return within(range, *count * unit, option, text);
}

CLI::Option* add_duration(CLI::App& app, const std::string& names, DurationRange range,
                          std::function<void(milliseconds)> set, const std::string& about) {
  const std::string option = names.substr(names.find(',') + 1);  // the long one; all of it where it is the only one
  return app
      .add_option_function<std::string>(
          names,
          [option, range, set = std::move(set)](const std::string& text) { set(parse_duration(option, text, range)); },
          about)
      ->type_name("TIME");
}

}  // namespace redismutex::cli
