#include "protocol/verdict.hpp"

#include <algorithm>
#include <array>

namespace redismutex::protocol {
namespace {

struct Known {
  std::string_view beginning;  ///< of what was refused, in whole words and without "ERR"
  Verdict verdict;
  std::string_view code = {};  ///< if it is not the first word
};

// What is not in here is told to the caller: OOM, NOREPLICAS, MISCONF, BUSY, WRONGTYPE, NOAUTH and the unknown.
constexpr std::array known{
    Known{"LOADING", Verdict::repeat},      // the server reads its data
    Known{"CLUSTERDOWN", Verdict::repeat},  // a part of the cluster is failing over
    Known{"MOVED", Verdict::moved},
    Known{"ASK", Verdict::ask},
    Known{"TRYAGAIN", Verdict::split},
    Known{"max number of clients", Verdict::repeat, "ERR"},

    Known{"READONLY", Verdict::leave},    // a replica
    Known{"MASTERDOWN", Verdict::leave},  // one that has lost its primary
    Known{"UNBLOCKED", Verdict::leave},   // it became one while the command waited

    Known{"NOPERM", Verdict::forbidden},
    Known{"The user executing the script can't", Verdict::forbidden, "NOPERM"},  // Redis 6.0, 7.0
    Known{"ACL failure in script:", Verdict::forbidden, "NOPERM"},               // newer ones
    Known{"unknown command", Verdict::forbidden, "ERR"},
    Known{"unknown subcommand", Verdict::forbidden, "ERR"},
    Known{"Unknown subcommand", Verdict::forbidden, "ERR"},                  // Redis 6.0
    Known{"Unknown command called from script", Verdict::forbidden, "ERR"},  // Valkey
    Known{"Unknown Redis command called from", Verdict::forbidden, "ERR"},   // Redis
};

bool take_off(std::string_view& text, std::string_view beginning) {
  if (!text.starts_with(beginning)) return false;
  text.remove_prefix(beginning.size());
  return true;
}

void take_off_up_to(std::string_view& text, std::string_view end) {
  const std::size_t at = text.find(end);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + end.size());
}

/// What was refused, out of the story that some servers tell around it:
///
///     EXECABORT Transaction discarded because of: READONLY You can't write...
///     ERR Error running script (call to f_62e6...): @user_script:81: @user_script: 81: -READONLY You can't write...
///     @user_script: 81: -READONLY You can't write...
std::string_view unwrapped(std::string_view error) {
  take_off(error, "EXECABORT Transaction discarded because of: ");
  const bool in_script = error.starts_with("@user_script:") || take_off(error, "ERR Error running script");
  if (!in_script) return error;
  std::string_view refused = error;
  if (!refused.starts_with('@')) take_off_up_to(refused, "): ");
  while (take_off(refused, "@user_script:")) take_off_up_to(refused, ": ");
  take_off(refused, "-");
  return refused;
}

std::string_view first_word(std::string_view text) { return text.substr(0, text.find(' ')); }

const Known* find(std::string_view refused) {
  take_off(refused, "ERR ");
  const auto* const place = std::find_if(known.begin(), known.end(), [refused](const Known& entry) {
    return refused.starts_with(entry.beginning) &&
           (refused.size() == entry.beginning.size() || refused[entry.beginning.size()] == ' ');
  });
  return place != known.end() ? place : nullptr;
}

}  // namespace

Verdict verdict(std::string_view error) {
  const Known* const entry = find(unwrapped(error));
  return entry != nullptr ? entry->verdict : Verdict::tell;
}

std::string_view error_code(std::string_view error) {
  const std::string_view refused = unwrapped(error);
  const Known* const entry = find(refused);
  if (entry != nullptr && !entry->code.empty()) return entry->code;
  const std::string_view word = first_word(refused);
  const bool is_code =
      !word.empty() && std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  return is_code || refused.size() == error.size() ? word : "ERR";
}

}  // namespace redismutex::protocol
