#include "engine/report.hpp"

#include <algorithm>
#include <redismutex/errors.hpp>

namespace redismutex::engine::report {
namespace {

/// A key may hold any bytes, and be long: messages show what a terminal can show of its beginning.
std::string quoted(const std::string& key) {
  constexpr std::size_t longest = 80;
  std::string text = key.substr(0, longest);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c >= 0 && (c < ' ' || c == '\x7f'); }, '?');
  return "'" + text + (key.size() > longest ? "...'" : "'");
}

}  // namespace

std::string action(std::string_view verb, const protocol::Key& key) {
  return std::string{verb} + " lock " + quoted(key.text());
}

std::string cannot(const Session& session, std::string_view action, std::string_view why) {
  return "cannot " + std::string{action} + " on " + session.server_name() + ": " + std::string{why};
}

void raise(const Session& session, std::string_view action, const net::Failure& failure) {
  const std::string message = cannot(session, action, failure.text);
  switch (failure.kind) {
    case net::Failure::Kind::refused_login: throw LoginError{message};
    case net::Failure::Kind::cancelled: throw LockCancelled{message};
    default: throw ConnectionError{message};
  }
}

void raise(const Session& session, std::string_view action, const protocol::Refusal& refusal) {
  const std::string message = cannot(session, action, refusal.text);
  if (refusal.code == "NOAUTH") throw LoginError{message};
  throw ServerError{message, refusal.code};
}

}  // namespace redismutex::engine::report
