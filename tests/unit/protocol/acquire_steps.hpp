#pragma once

#include <gmock/gmock.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/acquire.hpp"
#include "unit/protocol/steps.hpp"
#include "unit/protocol/stock.hpp"

/// The words in which the tests of Acquire are written.
namespace redismutex::protocol {

using namespace std::chrono_literals;
using std::chrono::microseconds;
using std::chrono::milliseconds;

inline const std::string own{id.text()};
constexpr std::string_view mailbox = "sredismutex:wake:mine";

constexpr auto expiry = 7000ms;
constexpr auto delay = 500ms;
constexpr Terms once{.expiry = expiry, .wait_until = std::nullopt, .delay = delay, .mailbox = mailbox};
constexpr Terms waiting{.expiry = expiry, .wait_until = at(30s), .delay = delay, .mailbox = mailbox};
constexpr Terms expecting{
    .expiry = expiry, .wait_until = at(30s), .delay = delay, .mailbox = mailbox, .expect_line = true};

/// The server's time when ours is at(0ms).
constexpr microseconds server_start{1'750'000'000'000'000};

inline Terms fenced(Terms terms) {
  terms.fencing = Fencing::with_token;
  return terms;
}

/// The one command of the short way.
inline auto is_set() { return ::testing::ElementsAre("SET", "stock", own, "NX", "PX", "7000"); }

/// What stands in the place of one of `waiting`, and in that of one that wants a token.
constexpr std::string_view plain_details = "0sredismutex:wake:mine";
constexpr std::string_view fenced_details = "1sredismutex:wake:mine";

/// What a request to the script says, where one of `waiting` does not say the same every time.
struct LineUp {
  std::string_view details = plain_details;
  std::string_view most_waiting = "10000";
  std::string_view was{};
};

inline auto is_line_up(LineUp says = {}) {
  return ::testing::ElementsAre("EVALSHA", scripts::acquire.sha1, "3", "stock", "redismutex:{stock}",
                                "redismutex:floor:{stock}", own, "7000", says.details, "2500", says.most_waiting,
                                says.was, "");
}

/// The same of one of `once`, which takes no place.
inline auto is_only_try(std::string_view details = plain_details) {
  return is_line_up({.details = details, .most_waiting = "0"});
}

inline auto is_look() { return ::testing::ElementsAre("PTTL", "stock"); }

inline std::int64_t server_time(milliseconds since_start) { return (server_start + since_start).count(); }

/// lua/acquire.lua's answers.
inline Answer has_it(Times times, std::int64_t token = 0) { return integers({0, server_start.count(), token}, times); }
inline Answer no_place(Times times) { return integers({2, server_start.count()}, times); }

inline Answer ask_again(Times times) { return integers({3, server_start.count()}, times); }

enum class Place { first, behind };

/// In line, asked at `sent_at` and answered at once; the present lease has `pttl` milliseconds left, which only the first is
/// told.
inline Answer in_line(milliseconds sent_at, Place place, std::int64_t pttl = 5000) {
  const Times times{.sent_at = at(sent_at), .now = at(sent_at)};
  if (place == Place::behind) return integers({1, server_time(sent_at)}, times);
  return integers({1, server_time(sent_at), pttl}, times);
}

inline Grant grant(milliseconds granted_at, milliseconds arrived, milliseconds claim = 1000ms) {
  return {.claim = claim, .granted_at = server_start + granted_at, .token = 0, .arrived = at(arrived)};
}

inline bool wants_wake_ups(const Step& step) {
  const auto* request = std::get_if<Request>(&step);
  return request != nullptr && request->wants_wake_ups;
}

inline bool is_taken(const Acquire& machine) { return std::holds_alternative<Acquire::Taken>(machine.outcome()); }

inline const Acquire::Held* held(const Acquire& machine) { return std::get_if<Acquire::Held>(&machine.outcome()); }

inline std::string refusal_text(const Acquire& machine) {
  const auto* refused = std::get_if<Refusal>(&machine.outcome());
  return refused == nullptr ? "" : refused->text;
}

}  // namespace redismutex::protocol
