#include "sim/mutant.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

#include "protocol/script.hpp"

namespace redismutex::sim {
namespace {

using namespace protocol;

constexpr std::array<const char*, 28> names{"none",
                                            "lease_from_reply",
                                            "grant_from_arrival",
                                            "renewal_may_shorten",
                                            "release_without_comparing",
                                            "extend_without_comparing",
                                            "never_extends_claim",
                                            "hands_over_full_lease",
                                            "tells_no_loss",
                                            "no_refresh",
                                            "subscribes_late",
                                            "never_watches",
                                            "ignores_liveness",
                                            "ignores_receivers",
                                            "ignores_limit",
                                            "last_in_first_out",
                                            "enqueues_every_time",
                                            "repeats_as_another",
                                            "needs_memory_first",
                                            "cancel_keeps_grant",
                                            "never_cleans_up",
                                            "tells_before_a_write",
                                            "tells_without_asking",
                                            "tokens_by_increment",
                                            "tokens_by_clock",
                                            "reserves_nothing",
                                            "floor_goes_at_once",
                                            "floor_stays_for_ever"};

bool is_shipped(const std::string& text, const Script& script) { return text == script.source; }

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto place = text.find(from);
  if (place == std::string::npos) throw std::logic_error{"no place for the mutant: " + std::string{from}};
  return text.replace(place, from.size(), to);
}

std::string with_lifo(const std::string& script) {
  const auto begin = script.find("local function hand_over");
  if (begin == std::string::npos) throw std::logic_error{"no hand_over"};
  std::string head = script.substr(0, begin), tail = script.substr(begin);
  tail = replaced(tail, "local id = first", "local id = redis.call('HGET', queue, 'last')");
  tail = replaced(tail, "'who:' .. id, 'behind:' .. id)", "'who:' .. id, 'ahead:' .. id)");
  for (int calls = 0; calls < 3; ++calls)
    tail = replaced(tail, "unlink(id, ahead, behind)", "unlink(id, behind, ahead)");
  return head + tail;
}

}  // namespace

const char* name(Mutant mutant) { return names[static_cast<std::size_t>(mutant)]; }

std::vector<Mutant> mutants() {
  std::vector<Mutant> all;
  for (std::size_t i = 1; i < names.size(); ++i) all.push_back(static_cast<Mutant>(i));
  return all;
}

Mutant mutant_named(std::string_view name) {
  const auto* place = std::find(names.begin(), names.end(), name);
  if (place == names.end()) throw std::invalid_argument{"no mutant is called " + std::string{name}};
  return static_cast<Mutant>(place - names.begin());
}

std::string rewritten(const std::string& script, Mutant mutant) {
  const bool acquires = is_shipped(script, scripts::acquire);
  const bool releases = is_shipped(script, scripts::release);
  const bool extends = is_shipped(script, scripts::extend);
  const bool has_queue = acquires || releases;
  const auto mistake = [&script](bool concerned, std::string_view from, std::string_view to) {
    return concerned ? replaced(script, from, to) : script;
  };
  switch (mutant) {
    case Mutant::renewal_may_shorten: return mistake(extends, "condition == 'GT'", "false");
    case Mutant::release_without_comparing: return mistake(releases, "redis.call('GET', KEYS[1]) == ARGV[1]", "true");
    case Mutant::extend_without_comparing:
      return mistake(extends, "redis.pcall('GET', key) == id", "redis.call('EXISTS', key) == 1");
    case Mutant::hands_over_full_lease: return mistake(acquires, "or CLAIM_MS", "or expiry");
    case Mutant::tells_no_loss: return mistake(extends, "if ARGV[1] == '1' then", "if false then");
    case Mutant::ignores_liveness: return mistake(has_queue, "until_ms - time[1] * 1000 < time[2] / 1000", "false");
    case Mutant::ignores_receivers:
      return mistake(has_queue, "if reached > 0 then\n        unlink", "if true then\n        unlink");
    case Mutant::ignores_limit: return mistake(acquires, "redis.call('HLEN', queue) >= 3 * ARGV[5]", "ARGV[5] == '0'");
    case Mutant::last_in_first_out: return has_queue ? with_lifo(script) : script;
    case Mutant::enqueues_every_time:
      return mistake(acquires, "found[1], found[2], found[3]", "found[1], found[2], false");
    case Mutant::needs_memory_first:
      return mistake(has_queue, "redis.call('HDEL', queue, '')", "redis.call('HSET', queue, 'first', id)");
    case Mutant::tells_before_a_write: return mistake(has_queue, "redis.call('HDEL', queue, '')", "local _ = id");
    case Mutant::tells_without_asking: return mistake(has_queue, "subscribers.err and 1 or subscribers[2]", "1");
    case Mutant::tokens_by_increment: return mistake(has_queue, "math.max(now_us, floor + 1)", "floor + 1");
    case Mutant::tokens_by_clock: return mistake(has_queue, "math.max(now_us, floor + 1)", "now_us");
    case Mutant::reserves_nothing: return mistake(has_queue, "RESERVE = 63", "RESERVE = 0");
    case Mutant::floor_goes_at_once: return mistake(acquires, "LINGER_MS = 60000", "LINGER_MS = 1");
    case Mutant::floor_stays_for_ever: return mistake(has_queue, "redis.call('PEXPIRE', queue, ms)", "");
    default: return script;
  }
}

std::string cancel_without_release() {
  return replaced(std::string{scripts::release.source}, "redis.call('GET', KEYS[1]) == ARGV[1]", "false");
}

}  // namespace redismutex::sim
