#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/machine.hpp"

namespace redismutex::protocol {

/// Slots of a cluster that one server has, with their ends.
struct SlotRange {
  std::uint16_t first;
  std::uint16_t last;
  ServerAddress master;
};

/// What one server knows of all slots, in no order. Those that no server has at present are left out.
struct SlotMap {
  std::vector<SlotRange> ranges;
  std::vector<ServerAddress> replicas;  ///< of any of these masters, each once
};

/// Where a server of a cluster says that a slot is: in a refusal that begins with MOVED or ASK.
struct Redirection {
  std::uint16_t slot;
  ServerAddress to;
};

/// Such a refusal of the server at `asked`: `MOVED 3999 127.0.0.1:6381`. An address of version 6 stands there without brackets. A server
/// that does not know how clients reach the other one leaves out the host, or has a `?` for it: then it is its own. None if it can not
/// be read. Source: Redis Cluster specification, "MOVED Redirection", "ASK redirection".
std::optional<Redirection> read_redirection(std::string_view error, const ServerAddress& asked);

/// Asks a server which slots are where.
class AskSlots final : public Machine {
 public:
  /// `asked`: the server's own address, for those whose host it does not know.
  explicit AskSlots(ServerAddress asked) : asked_{std::move(asked)} {}

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;

  using Outcome = std::variant<SlotMap, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

 private:
  const ServerAddress asked_;
  const std::array<std::string_view, 2> arguments_{"CLUSTER", "SLOTS"};
  Outcome outcome_;
};

/// What CLUSTER SLOTS answers: lists of the first slot, the last one, the master and its replicas, each of which is a list of a host,
/// a port and more. None if it is something else; a replica that can not be read is left out.
std::optional<SlotMap> read_slots(std::span<const Value> values, const ServerAddress& asked);

}  // namespace redismutex::protocol
