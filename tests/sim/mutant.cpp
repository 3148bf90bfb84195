#include "sim/mutant.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

#include "protocol/script.hpp"

namespace redismutex::sim {
namespace {

using namespace protocol;

constexpr std::array<const char*, 14> names{"none",
                                            "lease_from_reply",
                                            "grant_from_arrival",
                                            "release_without_comparing",
                                            "no_refresh",
                                            "ignores_liveness",
                                            "ignores_receivers",
                                            "enqueues_every_time",
                                            "cancel_keeps_grant",
                                            "last_in_first_out",
                                            "extend_without_comparing",
                                            "never_cleans_up",
                                            "subscribes_late",
                                            "never_extends_claim"};

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
  tail = replaced(tail, "redis.call('HGET', queue, 'first')", "redis.call('HGET', queue, 'last')");
  tail = replaced(tail, "'who:' .. id, 'behind:' .. id)", "'who:' .. id, 'ahead:' .. id)");
  return head + tail;
}

}  // namespace

const char* name(Mutant mutant) { return names[static_cast<std::size_t>(mutant)]; }

Mutant mutant_named(std::string_view name) {
  const auto* place = std::find(names.begin(), names.end(), name);
  if (place == names.end()) throw std::invalid_argument{"no mutant is called " + std::string{name}};
  return static_cast<Mutant>(place - names.begin());
}

std::string rewritten(const std::string& script, Mutant mutant) {
  const bool acquires = is_shipped(script, scripts::acquire);
  const bool releases = is_shipped(script, scripts::release);
  const bool extends = is_shipped(script, scripts::extend);
  switch (mutant) {
    case Mutant::release_without_comparing:
      if (releases) return replaced(script, "redis.call('GET', KEYS[1]) == ARGV[1]", "true");
      break;
    case Mutant::ignores_liveness:
      if (acquires || releases) return replaced(script, "now_us / 1000 - seen > tonumber(window)", "false");
      break;
    case Mutant::ignores_receivers:
      if (acquires || releases) return replaced(script, "if reached > 0 then", "if true then");
      break;
    case Mutant::enqueues_every_time:
      if (acquires) return replaced(script, "redis.call('HEXISTS', queue, 'who:' .. id) == 1", "false");
      break;
    case Mutant::last_in_first_out:
      if (acquires || releases) return with_lifo(script);
      break;
    case Mutant::extend_without_comparing:
      if (extends)
        return replaced(script, "redis.call('GET', KEYS[1]) == ARGV[1]", "redis.call('EXISTS', KEYS[1]) == 1");
      break;
    default: break;
  }
  return script;
}

std::string cancel_without_release() {
  return replaced(std::string{scripts::release.source}, "redis.call('GET', KEYS[1]) == ARGV[1]", "false");
}

}  // namespace redismutex::sim
