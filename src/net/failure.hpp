#pragma once

#include <new>
#include <string>

namespace redismutex::net {

/// Why there is no answer.
struct Failure {
  enum class Kind {
    unreachable,    ///< no connection, or it broke: trying again may help
    exhausted,      ///< this process has no descriptor or no memory for a connection: trying again may help
    timed_out,      ///< the caller's deadline passed first
    cancelled,      ///< the caller's stop_token fired first
    refused,        ///< the server was left, because of a refusal, which is the text; nothing was sent to it after that
    turned_away,    ///< the server is there, and takes nobody in for now: trying again after a pause helps
    refused_login,  ///< the server wants other credentials
    unusable,       ///< what answers is not a server that we can use: wrong protocol, certificate, database
  };

  Kind kind;
  std::string text;  ///< for people; without credentials

  /// Whether the next attempt would end the same way.
  bool permanent() const { return kind == Kind::refused_login || kind == Kind::unusable; }
};

/// Never without a text, though it may be this one: short enough for a string without an allocation.
inline constexpr const char* out_of_memory = "out of memory";

template <class MakeText>
Failure failure_of(Failure::Kind kind, const MakeText& make_text) noexcept {
  try {
    return {kind, make_text()};
  } catch (const std::bad_alloc&) {
    return {kind, out_of_memory};
  }
}

}  // namespace redismutex::net
