#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "protocol/owner_id.hpp"
#include "route/environment.hpp"

namespace redismutex::engine {

/// The tag of a Session's ids and connections. It stays as it is once it was asked for, through all reconnections.
/// Thread-safe.
class Identity final {
 public:
  /// Chance is the environment's.
  explicit Identity(route::Environment& environment = route::operating_system()) noexcept : environment_{environment} {}

  /// The server knows us by this number on a new connection. The first number becomes part of the tag, if there is none yet.
  void note_client_id(std::int64_t client_id);

  /// None as long as there was no connection, and nobody needed one.
  std::optional<protocol::Tag> known() const noexcept;

  /// Draws one if there is none.
  protocol::Tag tag();

  /// This is the tag, if there is none yet.
  void adopt(protocol::Tag tag) noexcept { settle(tag); }

 private:
  protocol::Tag settle(protocol::Tag tag) noexcept;

  static constexpr std::uint64_t none = ~std::uint64_t{0};  // a tag has 40 bits
  route::Environment& environment_;
  std::atomic<std::uint64_t> tag_{none};
};

}  // namespace redismutex::engine
