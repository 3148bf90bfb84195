#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/machine.hpp"

namespace redismutex::protocol {

/// Asks a server how many replicas it has.
class CountReplicas final : public Machine {
 public:
  enum class From {
    server,   ///< that are connected: one that is away is not among them
    cluster,  ///< that the cluster has for it, also those that are away
  };
  explicit CountReplicas(From from) noexcept : from_{from} {}

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;

  using Outcome = std::variant<std::int64_t, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

 private:
  Arguments arguments() const noexcept;

  const From from_;
  Outcome outcome_;
};

/// How many replicas the server has that gives this answer to CLUSTER NODES: lines of an id, an address, flags, the id of the master, and more.
/// None if it can not be read. Source: the Redis documentation, "CLUSTER NODES", "Serialization format".
std::optional<std::int64_t> replicas_in(std::string_view cluster_nodes);

}  // namespace redismutex::protocol
