#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/exchange.hpp"
#include "protocol/instant.hpp"
#include "protocol/machine.hpp"

namespace redismutex::protocol {

/// One step of the way through a database.
class Scan final : public Machine {
 public:
  enum class Types { all, strings };

  /// `cursor`: "0" at first, then that of the step before. `pattern`: see the server's command KEYS. Both must outlive the machine.
  Scan(std::string_view cursor, std::string_view pattern, std::size_t count, Types types);

  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;

  struct Page {
    std::string cursor;             ///< of the next step; "0": there is none
    std::vector<std::string> keys;  ///< some perhaps twice, in this step and in others
  };
  using Outcome = std::variant<Page, Refusal>;
  Outcome& outcome() noexcept { return outcome_; }

 private:
  const std::string count_;
  std::vector<std::string_view> arguments_;
  Outcome outcome_;
};

/// Asks how many keys the database has.
class CountKeys final : public Machine {
 public:
  Step start(Instant now) override;
  Step answered(const Answer& answer) override;
  Step unanswered() override;

  /// None if the server does not say it.
  std::optional<std::size_t> count() const noexcept { return count_; }

 private:
  std::vector<std::string_view> arguments_{"DBSIZE"};
  std::optional<std::size_t> count_;
};

}  // namespace redismutex::protocol
