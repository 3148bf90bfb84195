#pragma once

#include <chrono>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"

/// The words in which the tests of the state machines are written.
namespace redismutex::protocol {

constexpr Instant at(std::chrono::nanoseconds since_start) { return Instant{std::chrono::hours{1} + since_start}; }

/// For GoogleTest's messages: the opposite of at().
inline void PrintTo(const Instant& instant, std::ostream* out) { *out << (instant - at({})).count() << " ns"; }

inline void PrintTo(const Step& step, std::ostream* out) {
  constexpr const char* names[] = {"Request", "Pause", "Done"};
  *out << names[step.index()];
}

/// When a request left and when its answer is looked at.
struct Times {
  Instant sent_at = at({});
  Instant now = at({});
};

inline Answer nothing(Times times = {}) {
  return {.type = Answer::Type::nothing, .sent_at = times.sent_at, .now = times.now};
}
inline Answer text(std::string_view text, Times times = {}) {
  return {.type = Answer::Type::text, .text = text, .sent_at = times.sent_at, .now = times.now};
}
inline Answer integer(std::int64_t value, Times times = {}) {
  return {.type = Answer::Type::integer, .integer = value, .sent_at = times.sent_at, .now = times.now};
}
inline Answer error(std::string_view text, Times times = {}) {
  return {.type = Answer::Type::error, .text = text, .sent_at = times.sent_at, .now = times.now};
}
inline Answer other(Times times = {}) {
  return {.type = Answer::Type::other, .sent_at = times.sent_at, .now = times.now};
}

inline Answer integers(std::vector<std::int64_t> values, Times times = {}) {
  return {.type = Answer::Type::integers, .integers = std::move(values), .sent_at = times.sent_at, .now = times.now};
}

inline Answer texts(std::vector<std::optional<std::string_view>> values, Times times = {}) {
  return {.type = Answer::Type::texts, .texts = std::move(values), .sent_at = times.sent_at, .now = times.now};
}

/// The words of the command that a step asks for; none if it asks for something else.
inline std::vector<std::string> command(const Step& step) {
  const auto* request = std::get_if<Request>(&step);
  if (request == nullptr) return {};
  return {request->arguments.begin(), request->arguments.end()};
}

/// The words of the commands that are to be carried out with it.
inline std::vector<std::vector<std::string>> joined_commands(const Step& step) {
  std::vector<std::vector<std::string>> commands;
  if (const auto* request = std::get_if<Request>(&step)) {
    for (const Arguments& joined : request->joined) commands.emplace_back(joined.begin(), joined.end());
  }
  return commands;
}

/// How often the command is to be sent.
inline int times_sent(const Step& step) {
  const auto* request = std::get_if<Request>(&step);
  return request == nullptr ? 0 : request->times;
}

/// The script that the step's command needs.
inline const Script* script(const Step& step) {
  const auto* request = std::get_if<Request>(&step);
  return request == nullptr ? nullptr : request->script;
}

/// Until when a step pauses; nothing if it does something else.
inline std::optional<Instant> pause(const Step& step) {
  const auto* paused = std::get_if<Pause>(&step);
  return paused == nullptr ? std::nullopt : std::optional{paused->until};
}

inline bool is_done(const Step& step) { return std::holds_alternative<Done>(step); }

inline bool wants_invalidation(const Step& step) {
  const auto* request = std::get_if<Request>(&step);
  return request != nullptr && request->wants_invalidation;
}

}  // namespace redismutex::protocol
