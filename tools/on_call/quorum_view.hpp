#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <redismutex/connection_options.hpp>
#include <redismutex/inspection.hpp>
#include <string>
#include <vector>

#include "colours.hpp"
#include "describe.hpp"
#include "look.hpp"

namespace redismutex::cli {

/// What one server of a quorum has of a key.
struct Vote {
  NamedServer server;
  std::optional<Inspection> seen;  ///< none: it did not answer
  std::string trouble{};           ///< then why
};

/// A key as the servers of a quorum have it.
struct QuorumView {
  std::string key;
  std::vector<Vote> votes;  ///< of each server

  std::size_t majority() const noexcept { return votes.size() / 2 + 1; }
  std::size_t count(Inspection::State state) const;

  /// What has it at a majority of the servers, as the first of these has it; none: nothing has. A holder is known by its Connection, because
  /// it may have an id of its own at servers that it asked later.
  const Inspection* holder() const;
  const Vote* holders_vote() const;  ///< of the first of these

  /// Whether that is what the server has.
  static bool is_holders(const Vote& vote, const Inspection& holder);
  std::size_t votes_of(const Inspection& holder) const;

  /// "free", "held", "foreign", "not-a-lock"; "split": nothing has a majority, and it is not free at one.
  std::string state() const;
  bool is_free() const { return count(Inspection::State::free) >= majority(); }
};

/// Looks at keys of all servers of a quorum.
class QuorumLookout {
 public:
  explicit QuorumLookout(const std::vector<ConnectionOptions>& servers);

  /// Throws what inspect() throws where no majority has answered.
  std::vector<QuorumView> look(const std::vector<std::string>& keys, const Lookout::Options& options);

  const Connection& connection(std::size_t server) const { return lookouts_.at(server).connection(); }

 private:
  std::deque<Lookout> lookouts_;
};

/// As of one server: in lines for people, in one line, for programs.
std::string describe(const QuorumView& view, const Colours& colours);
std::string json_line(const QuorumView& view);

}  // namespace redismutex::cli
