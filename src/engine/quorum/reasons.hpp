#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "engine/extending.hpp"
#include "engine/quorum/panel.hpp"
#include "protocol/exchange.hpp"

namespace redismutex::engine {

/// Why servers of a quorum have not done what they were asked for: the reason of each, by its name, in one text.
class Reasons {
 public:
  explicit Reasons(const Panel& panel) : panel_{panel} {}

  /// `code`: of a refusal, else empty.
  void add(std::size_t server, const route::Failure& failure, const std::string& code) {
    if (!given_.empty()) text_ += "; ";
    text_.append(panel_.name(server)).append(": ").append(failure.text);
    given_.push_back({failure.kind, code});
  }

  /// Whether the outcome is a reason: a refusal, or no answer.
  template <class Outcome>
  bool add(std::size_t server, const Outcome& outcome) {
    if (const auto* const refused = std::get_if<protocol::Refusal>(&outcome)) {
      add(server, {route::Failure::Kind::refused, refused->text}, refused->code);
    } else if (const auto* const none = std::get_if<NoAnswer>(&outcome)) {
      add(server, none->failure, {});
      unknown_ = unknown_ || none->unknown;
    } else {
      return false;
    }
    return true;
  }

  std::size_t count() const noexcept { return given_.size(); }
  const std::string& text() const noexcept { return text_; }

  /// All of them as one, with this text. What so many say alike that the others are no majority is the reason.
  template <class Outcome>
  Outcome sum(std::string text) const {
    for (const Given& given : given_) {
      const auto is_alike = [&](const Given& other) { return other.code == given.code; };
      if (!given.code.empty() && is_decided(is_alike)) {
        return protocol::Refusal{.code = given.code, .text = std::move(text)};
      }
    }
    using Kind = route::Failure::Kind;
    Kind decided = Kind::unreachable;
    for (const Kind kind : {Kind::refused_login, Kind::exhausted}) {
      if (is_decided([kind](const Given& given) { return given.kind == kind; })) decided = kind;
    }
    route::Failure failure{decided, std::move(text)};
    if constexpr (std::is_constructible_v<Outcome, NoAnswer>) {
      return NoAnswer{.failure = std::move(failure), .unknown = unknown_};
    } else {
      return failure;
    }
  }

 private:
  struct Given {
    route::Failure::Kind kind;
    std::string code;
  };

  template <class Is>
  bool is_decided(const Is& is) const {
    return static_cast<std::size_t>(std::count_if(given_.begin(), given_.end(), is)) >
           panel_.size() - panel_.majority();
  }

  const Panel& panel_;
  std::string text_;
  std::vector<Given> given_;
  bool unknown_ = false;
};

}  // namespace redismutex::engine
