#pragma once

#include <string>
#include <string_view>

#include "net/failure.hpp"
#include "protocol/exchange.hpp"
#include "protocol/key.hpp"

/// Where outcomes become exceptions. Every message names the server, and the key if there is one, and never a password.
namespace redismutex::api::report {

/// Why a lock can not be released or extended.
constexpr std::string_view was_lost = "it had expired, or was deleted or taken over";

/// What was to be done: "ping", or "acquire lock 'key'" for a key of any length and content, which must outlive it.
class Action {
 public:
  explicit Action(std::string_view verb) : verb_{verb} {}
  Action(std::string_view verb, const protocol::Key& key) : verb_{verb}, key_{&key} {}

  std::string text() const;

 private:
  std::string_view verb_;
  const protocol::Key* key_ = nullptr;
};

/// "cannot `action` on redis://…: why"
std::string cannot(const std::string& server, const Action& action, std::string_view why);

/// Throws LoginError, LockCancelled, ResourceError or ConnectionError.
[[noreturn]] void raise(const std::string& server, const Action& action, const net::Failure& failure);

/// Throws OutcomeUnknownError, or LockCancelled. `consequence`: what is known all the same.
[[noreturn]] void raise_unknown(const std::string& server, const Action& action, const net::Failure& failure,
                                std::string_view consequence);

/// Throws ServerError, or LoginError where the server wants credentials.
[[noreturn]] void raise(const std::string& server, const Action& action, const protocol::Refusal& refusal);

}  // namespace redismutex::api::report
