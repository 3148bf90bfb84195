#include "engine/quorum/roll.hpp"

#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "protocol/number.hpp"

namespace redismutex::engine {
namespace {

using protocol::AskInfo;
using protocol::Instant;
using std::chrono::seconds;

std::string_view field(const AskInfo::Fields& fields, const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string_view{} : found->second;
}

}  // namespace

bool Roll::knows(std::size_t server, std::uint64_t link) const noexcept {
  const std::lock_guard lock{mutex_};
  return entries_[server].link >= link;
}

void Roll::forget(std::size_t server) noexcept {
  const std::lock_guard lock{mutex_};
  entries_[server].link = 0;
  entries_[server].run_id.clear();
}

/// The server counts in whole seconds of its clock on the wall, and so may say a second too much.
void Roll::note(std::size_t server, std::uint64_t link, const AskInfo::Outcome& said, Instant now) {
  Entry entry{.link = link, .run_id = {}, .votes_from = Instant::min(), .refusal = {}};
  std::optional<seconds> runs_for;
  if (const auto* const fields = std::get_if<AskInfo::Fields>(&said)) {
    entry.run_id = field(*fields, "run_id");
    const auto uptime = protocol::number_in<std::uint32_t>(field(*fields, "uptime_in_seconds"));
    if (uptime) runs_for = seconds{*uptime};
    if (!runs_for) entry.refusal.text = "INFO does not tell since when it runs (uptime_in_seconds)";
  } else {
    entry.refusal = std::get<protocol::Refusal>(said);
  }
  if (grace_.count() > 0) {
    constexpr seconds inexactness{1};
    entry.votes_from = runs_for ? now - (*runs_for - inexactness) + std::chrono::ceil<seconds>(grace_) : Instant::max();
  }
  const std::lock_guard lock{mutex_};
  if (link >= entries_[server].link) entries_[server] = std::move(entry);
}

/// With the lock held.
bool Roll::are_one(std::size_t server, std::size_t other) const noexcept {
  const std::string& id = entries_[server].run_id;
  return server != other && !id.empty() && id == entries_[other].run_id;
}

std::optional<std::pair<std::size_t, std::size_t>> Roll::twins() const noexcept {
  const std::lock_guard lock{mutex_};
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    for (std::size_t j = i + 1; j < entries_.size(); ++j) {
      if (are_one(i, j)) return std::pair{i, j};
    }
  }
  return std::nullopt;
}

bool Roll::is_twin(std::size_t server) const noexcept {
  const std::lock_guard lock{mutex_};
  for (std::size_t other = 0; other < entries_.size(); ++other) {
    if (are_one(server, other)) return true;
  }
  return false;
}

Instant Roll::votes_from(std::size_t server) const noexcept {
  const std::lock_guard lock{mutex_};
  return entries_[server].votes_from;
}

protocol::Refusal Roll::refusal(std::size_t server) const {
  const std::lock_guard lock{mutex_};
  return entries_[server].refusal;
}

}  // namespace redismutex::engine
