#include "moments.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace redismutex::cli {
namespace {

using std::chrono::microseconds;
using namespace std::chrono_literals;

struct Unit {
  std::chrono::seconds length;
  const char* name;
};
constexpr std::array units{Unit{24h, " d"}, Unit{1h, " h"}, Unit{1min, " min"}, Unit{1s, " s"}};

/// Below a minute.
std::string seconds_text(microseconds duration) {
  std::array<char, 32> text{};
  const double seconds = std::chrono::duration<double>{duration}.count();
  if (duration < 100ms) {
    std::snprintf(text.data(), text.size(), "%d ms", static_cast<int>(seconds * 1e3));
  } else if (duration < 9950ms) {
    std::snprintf(text.data(), text.size(), "%.1f s", seconds);
  } else {
    std::snprintf(text.data(), text.size(), "%d s", static_cast<int>(seconds));
  }
  return text.data();
}

using Divide = std::tm* (*)(const std::time_t*, std::tm*);

std::tm divided(WallTime moment, Divide divide) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(moment.time_since_epoch()).count();
  const auto time = static_cast<std::time_t>(seconds);
  std::tm fields{};
  divide(&time, &fields);
  return fields;
}

std::string day_text(const std::tm& fields) {
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d", &fields)};
}

std::string time_text(const std::tm& fields) {
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%H:%M:%S", &fields)};
}

}  // namespace

std::string duration_text(microseconds duration) {
  duration = std::max(duration, 0us);
  for (std::size_t i = 0; i + 1 < units.size(); ++i) {
    const auto& [length, name] = units.at(i);
    const auto& [shorter, its_name] = units.at(i + 1);
    if (duration < length) continue;
    const std::string text = std::to_string(duration / length) + name;
    const auto rest = (duration % length) / shorter;
    return rest == 0 ? text : text + " " + std::to_string(rest) + its_name;
  }
  return seconds_text(duration);
}

std::string short_duration_text(microseconds duration) {
  duration = std::max(duration, 0us);
  for (std::size_t i = 0; i + 1 < units.size(); ++i) {
    const auto& [length, name] = units.at(i);
    if (duration >= length) return std::to_string(duration / length) + name;
  }
  return seconds_text(duration);
}

std::string tight_duration_text(microseconds duration) {
  std::string text = duration_text(duration);
  if (duration < 1min) return text;
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const auto minutes = text.find("min");
  if (minutes != std::string::npos) text.erase(minutes + 1, 2);
  return text;
}

std::string clock_text(WallTime moment, WallTime now) {
  const std::tm fields = divided(moment, ::localtime_r);
  const std::string day = day_text(fields);
  const bool today = day == day_text(divided(now, ::localtime_r));
  return today ? time_text(fields) : day + " " + time_text(fields);
}

std::string utc_text(WallTime moment) {
  const std::tm fields = divided(moment, ::gmtime_r);
  const auto since_epoch = moment.time_since_epoch();
  const auto second = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const std::string millis = std::to_string((since_epoch - second) / 1ms);
  return day_text(fields) + "T" + time_text(fields) + "." + std::string(3 - millis.size(), '0') + millis + "Z";
}

WallTime wall_clock() { return std::chrono::floor<microseconds>(std::chrono::system_clock::now()); }

}  // namespace redismutex::cli
