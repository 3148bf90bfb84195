#pragma once

#include <cstddef>
#include <string>
#include <variant>

#include "engine/extending.hpp"
#include "engine/quorum/panel.hpp"
#include "protocol/exchange.hpp"

namespace redismutex::engine {

/// Why servers of a quorum have not done what they were asked for: the reason of each, by its name, in one text.
class Reasons {
 public:
  explicit Reasons(const Panel& panel) : panel_{panel} {}

  /// Whether the outcome is a reason: a refusal, or no answer.
  template <class Outcome>
  bool add(std::size_t server, const Outcome& outcome) {
    const auto* const none = std::get_if<NoAnswer>(&outcome);
    const auto* const refused = std::get_if<protocol::Refusal>(&outcome);
    if (none == nullptr && refused == nullptr) return false;
    if (count_++ > 0) text_ += "; ";
    text_.append(panel_.name(server)).append(": ").append(none != nullptr ? none->failure.text : refused->text);
    unknown_ = unknown_ || (none != nullptr && none->unknown);
    return true;
  }

  std::size_t count() const noexcept { return count_; }

  NoAnswer no_answer() const { return {.failure = {route::Failure::Kind::unreachable, text_}, .unknown = unknown_}; }

 private:
  const Panel& panel_;
  std::size_t count_ = 0;
  std::string text_;
  bool unknown_ = false;
};

}  // namespace redismutex::engine
