#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <redismutex/inspection.hpp>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/machine.hpp"

namespace redismutex::protocol {

/// One of the server's connections.
struct Connected {
  std::int64_t id = 0;
  std::string name;
  std::string address;
  std::string user;  ///< empty before Redis 6.0
};

/// What a reply to CLIENT LIST says: a line for each connection, of words "field=value".
std::vector<Connected> read_client_list(std::string_view list);

/// The process whose connections have this tag in their names, as `LEAD:TAG:HOST:PID:PURPOSE`: the newest of them. None if there is none,
/// or no tag.
std::optional<Client> client_with_tag(std::span<const Connected> connected, std::string_view tag);

/// The numbers that the first connection with this tag may have had: a tag keeps the last 24 bits. `newest`: a number that the server gave
/// lately, such as our own. None for a text that is no tag.
std::vector<std::int64_t> client_ids_of(std::string_view tag, std::int64_t newest);

/// Asks the server for its connections.
class Clients final : public Machine {
 public:
  /// More are not asked for at once: their list would take the server too long, and be larger than any reply that we accept.
  static constexpr std::int64_t most = 2'000;

  /// Those with these numbers. A server before Redis 6.2 refuses that.
  explicit Clients(std::vector<std::int64_t> ids);

  struct All {};
  /// All of them, if there are no more than `most`.
  explicit Clients(All all);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;

  struct TooMany {};
  using Outcome = std::variant<std::vector<Connected>, TooMany, Refusal>;
  const Outcome& outcome() const noexcept { return outcome_; }

  /// What it takes that the server did not allow, of those that the outcome needs: "+info" or "+client|list".
  std::string_view right() const noexcept { return counts_ ? "+info" : "+client|list"; }

 private:
  Step next();

  const std::vector<std::int64_t> ids_;
  const bool all_;
  bool counts_;           // the present request asks how many there are
  std::size_t done_ = 0;  // of the ids
  std::size_t asked_ = 0;
  std::vector<std::string> numbers_;
  std::vector<std::string_view> arguments_;
  Outcome outcome_;
};

}  // namespace redismutex::protocol
