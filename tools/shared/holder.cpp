#include "shared/holder.hpp"

#include <array>
#include <ctime>
#include <optional>

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

std::string tenths_of_seconds(microseconds duration) {
  const auto tenths = (duration.count() + 50'000) / 100'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

std::tm local(WallTime time) {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  return parts;
}

/// How long it has been held; and whether that is exact, or only known to be no longer.
struct Held {
  microseconds duration;
  bool exact;
};

std::optional<Held> held(const Inspection& seen) {
  if (seen.label) return Held{seen.seen_at - seen.label->since, true};
  if (seen.asked_at) return Held{seen.seen_at - *seen.asked_at, false};
  return std::nullopt;
}

std::string lease(const Inspection& seen) {
  if (!seen.lease_left) return "it never ends by itself";
  const auto text = "lease " + tenths_of_seconds(*seen.lease_left);
  const bool renewed = seen.label && seen.seen_at - seen.label->since > seen.label->expiry;
  return renewed ? text + ", renewed" : text;
}

}  // namespace

std::string holder(const Inspection& seen) {
  if (seen.state == Inspection::State::not_a_lock) return "something that is no lock, a " + seen.type;
  if (seen.state == Inspection::State::foreign) return "another program (value '" + seen.value + "')";
  const std::string label = seen.label ? seen.label->text : std::string{};
  if (!seen.client) return label.empty() ? "someone" : label;
  const auto& client = *seen.client;
  std::string text = client.host + " (pid " + std::to_string(client.pid) + ", " + client.purpose;
  if (!label.empty() && !label.starts_with(client.purpose)) text += ", '" + label + "'";
  return text + ")";
}

std::string for_how_long(const Inspection& seen) {
  const auto known = held(seen);
  if (!known) return {};
  return (known->exact ? " for " : " for at most ") + rough_duration(known->duration);
}

std::string taken_by(const Inspection& seen) {
  std::string text = "by " + holder(seen);
  if (const auto known = held(seen)) {
    text += " since " + wall_clock(seen.seen_at - known->duration);
    text += (known->exact ? ", " : " or later, at most ") + rough_duration(known->duration) + " ago";
  }
  if (seen.waiting > 0) text += "; " + std::to_string(seen.waiting) + (seen.waiting == 1 ? " waits" : " wait");
  return seen.state == Inspection::State::not_a_lock ? text : text + "; " + lease(seen);
}

std::string rough_duration(microseconds duration) {
  if (duration < 0us) duration = 0us;  // two clocks
  const auto count = [duration](microseconds unit) { return std::to_string(duration / unit); };
  if (duration < 10s) return tenths_of_seconds(duration);
  if (duration < 2min) return count(1s) + " s";
  if (duration < 2h) return count(1min) + " min";
  if (duration < 48h) return count(1h) + " h";
  return count(24h) + " days";
}

std::string wall_clock(WallTime time) {
  const auto parts = local(time);
  const auto now = local(std::chrono::time_point_cast<microseconds>(std::chrono::system_clock::now()));
  const bool is_today = parts.tm_year == now.tm_year && parts.tm_yday == now.tm_yday;
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &parts)};
}

std::string ordinal(std::size_t number) {
  constexpr std::array<std::string_view, 4> endings{"th", "st", "nd", "rd"};
  const auto last = number % 10;
  const bool teens = number / 10 % 10 == 1;
  return std::to_string(number).append(teens || last > 3 ? endings[0] : endings.at(last));
}

}  // namespace redismutex::cli
