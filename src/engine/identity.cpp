#include "engine/identity.hpp"

namespace redismutex::engine {

void Identity::note_client_id(std::int64_t client_id) {
  if (!known()) settle(protocol::make_tag(client_id, environment_.random_bits()));
}

std::optional<protocol::Tag> Identity::known() const noexcept {
  const std::uint64_t bits = tag_;
  return bits == none ? std::nullopt : std::optional{protocol::Tag{bits}};
}

protocol::Tag Identity::tag() {
  if (const auto tag = known()) return *tag;
  return settle(protocol::make_tag(0, environment_.random_bits()));
}

/// The first of several threads that bring a tag has its way.
protocol::Tag Identity::settle(protocol::Tag tag) noexcept {
  std::uint64_t present = none;
  return tag_.compare_exchange_strong(present, tag.bits) ? tag : protocol::Tag{present};
}

}  // namespace redismutex::engine
