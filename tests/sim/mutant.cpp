#include "sim/mutant.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

#include "protocol/script.hpp"

namespace redismutex::sim {
namespace {

using namespace protocol;

constexpr std::array<const char*, 38> names{"none",
                                            "renewal_may_shorten",
                                            "release_without_comparing",
                                            "extend_without_comparing",
                                            "hands_over_full_lease",
                                            "tells_no_loss",
                                            "ignores_liveness",
                                            "ignores_receivers",
                                            "ignores_limit",
                                            "counts_the_dead",
                                            "last_in_first_out",
                                            "enqueues_every_time",
                                            "needs_memory_first",
                                            "cancel_keeps_grant",
                                            "tells_before_a_write",
                                            "tells_without_asking",
                                            "tells_no_first",
                                            "never_puts_back",
                                            "leaves_the_life",
                                            "leaves_the_place",
                                            "leaves_the_dead",
                                            "leaves_the_old_place",
                                            "moves_to_the_end",
                                            "keeps_many_absent",
                                            "frees_instead_of_more",
                                            "renews_no_place",
                                            "refreshes_nothing",
                                            "keeps_wrong_types",
                                            "drops_newer_versions",
                                            "line_stays_for_ever",
                                            "hands_over_for_ever",
                                            "tokens_by_increment",
                                            "tokens_by_clock",
                                            "forgets_the_givers_token",
                                            "forgets_the_heirs_floor",
                                            "forgets_tokens_ahead",
                                            "floor_goes_at_once",
                                            "floor_stays_for_ever"};

bool is_shipped(const std::string& text, const Script& script) { return text == script.source; }

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto place = text.find(from);
  if (place == std::string::npos) throw std::logic_error{"no place for the mutant: " + std::string{from}};
  return text.replace(place, from.size(), to);
}

/// Goes to the last place of all.
constexpr std::string_view last_place =
    "local time = redis.call('TIME')\n"
    "  local all = redis.call('ZRANGEBYSCORE', line, '-inf', '(4000000000000000')\n"
    "  entry, behind = all[#all], nil\n";

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
  const bool refreshes = is_shipped(script, scripts::refresh);
  const bool has_line = acquires || releases;
  const auto mistake = [&script](bool concerned, std::string_view from, std::string_view to) {
    return concerned ? replaced(script, from, to) : script;
  };
  const auto every = [&script](bool concerned, std::string_view from, std::string_view to) {
    if (!concerned) return script;
    std::string text = replaced(script, from, to);
    while (text.find(from) != std::string::npos) text = replaced(std::move(text), from, to);
    return text;
  };
  switch (mutant) {
    case Mutant::renewal_may_shorten: return mistake(extends, "ARGV[3 * i + 1] == '0' or", "true or");
    case Mutant::release_without_comparing: return mistake(releases, "owner == ARGV[1]", "true");
    case Mutant::extend_without_comparing:
      return mistake(extends, "redis.pcall('GET', key) == ARGV[3 * i - 1]", "redis.call('EXISTS', key) == 1");
    case Mutant::hands_over_full_lease: return mistake(has_line, "'1000'", "'60000'");
    case Mutant::tells_no_loss: return mistake(extends, "if ARGV[1] == '1' then", "if false then");
    case Mutant::ignores_liveness: return mistake(has_line, "life and life - now >= 0", "life");
    case Mutant::ignores_receivers: return mistake(has_line, "channel)[2] ~= 0", "channel)[2] ~= nil");
    case Mutant::ignores_limit:
      return mistake(acquires, "redis.call('ZCOUNT', line, APART + now, '+inf') >= tonumber(ARGV[5])",
                     "ARGV[5] == '0'");
    case Mutant::counts_the_dead: return mistake(acquires, "line, APART + now, '+inf'", "line, APART, '+inf'");
    case Mutant::last_in_first_out: return mistake(has_line, "local time = redis.call('TIME')\n", last_place);
    case Mutant::enqueues_every_time:
      return mistake(acquires, "first and redis.call('ZSCORE', line, place)", "first and false");
    case Mutant::needs_memory_first:
      return mistake(has_line, "redis.call('ZREM', line, entry, id)\n        redis.call('SET', key, id, 'PX', claim)",
                     "redis.call('SET', key, id, 'PX', claim)\n        redis.call('ZREM', line, entry, id)");
    case Mutant::cancel_keeps_grant: return mistake(releases, "owner == ARGV[1]", "owner == ARGV[1] and ARGV[3] == ''");
    case Mutant::tells_before_a_write:
      return mistake(
          has_line, "redis.call('ZREM', line, entry, id)\n",
          "if kind ~= '-' then send(kind, channel, id .. ' ' .. claim .. ' ' .. time[1] .. ' ' .. time[2] .. "
          "' 0') end redis.call('ZREM', line, entry, id)\n");
    case Mutant::tells_without_asking:
      return mistake(has_line, "redis.pcall('PUBSUB', kind == 's' and 'SHARDNUMSUB' or 'NUMSUB', channel)[2] ~= 0",
                     "send(kind, channel, id .. ' ' .. claim .. ' ' .. time[1] .. ' ' .. time[2] .. ' 0') ~= 0");
    case Mutant::tells_no_first: return mistake(has_line, "string.find('2367', digit, 1, true)", "false");
    case Mutant::never_puts_back:
      return mistake(has_line, "redis.call('ZADD', line, life, id, ticket and ticket - 1 or now - APART, entry)", "");
    case Mutant::leaves_the_life:
      return mistake(has_line, "redis.call('ZREM', line, entry, id)", "redis.call('ZREM', line, entry)");
    case Mutant::leaves_the_place: return mistake(releases, "line, ARGV[1], place, former)", "line, ARGV[1])");
    case Mutant::leaves_the_dead:
      return mistake(has_line, "if gone and gone[1] then redis.call('ZREM', line, unpack(gone)) end", "");
    case Mutant::leaves_the_old_place:
      return mistake(acquires, "if ticket then redis.call('ZREM', line, id .. was) end", "");
    case Mutant::moves_to_the_end:
      return mistake(acquires, "ticket = ticket or ARGV[7] ~= '' and ARGV[7] or time[1]", "ticket = time[1]");
    case Mutant::keeps_many_absent: return mistake(has_line, "stays = absent <= MOST_ABSENT", "stays = true");
    case Mutant::frees_instead_of_more: return mistake(releases, "if more then return 2 end", "");
    case Mutant::renews_no_place: return mistake(acquires, "else\n  redis.call('ZADD', line, life, id)\n", "else\n");
    case Mutant::refreshes_nothing: return mistake(refreshes, "redis.call('ZADD', line, life, id)", "");
    case Mutant::keeps_wrong_types: return mistake(has_line, "redis.call('UNLINK', line)", "");
    case Mutant::drops_newer_versions: return mistake(has_line, "(kind or not digit) and", "kind and");
    case Mutant::line_stays_for_ever:
      return mistake(acquires, "redis.call('PEXPIRE', line, string.format('%d', 2 * window))", "local _ = 0");
    case Mutant::hands_over_for_ever:
      return mistake(has_line, "redis.call('SET', key, id, 'PX', claim)", "redis.call('SET', key, id)");
    case Mutant::tokens_by_increment:
      return mistake(has_line, "if floor and floor >= tonumber(token) and", "floor = floor or 0 if");
    case Mutant::tokens_by_clock: return mistake(has_line, "if floor and floor >= tonumber(token) and", "if false and");
    case Mutant::forgets_the_givers_token:
      return mistake(has_line, "mint(time, floor or redis.pcall('GET', KEYS[3]))",
                     "mint(time, redis.pcall('GET', KEYS[3]))");
    case Mutant::forgets_the_heirs_floor:
      return mistake(has_line, "redis.call('PSETEX', KEYS[3], '60000', floor)  -- the", "--");
    case Mutant::forgets_tokens_ahead: return mistake(has_line, "redis.call('PSETEX', KEYS[3], '60000', token)", "");
    case Mutant::floor_goes_at_once: return every(releases, "'60000'", "'1'");
    case Mutant::floor_stays_for_ever:
      return every(releases, "redis.call('PSETEX', KEYS[3], '60000', floor)", "redis.call('SET', KEYS[3], floor)");
    default: return script;
  }
}

}  // namespace redismutex::sim
