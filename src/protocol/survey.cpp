#include "protocol/survey.hpp"

#include <algorithm>

namespace redismutex::protocol {
namespace {

/// The value of `field` in a reply to INFO, which is lines of "field:value"; empty if it is not there.
std::string_view value_of(std::string_view info, std::string_view field) {
  while (!info.empty()) {
    const std::string_view line = info.substr(0, info.find('\n'));
    info.remove_prefix(std::min(info.size(), line.size() + 1));
    if (!line.starts_with(field) || line.substr(field.size(), 1) != ":") continue;
    std::string_view value = line.substr(field.size() + 1);
    if (value.ends_with('\r')) value.remove_suffix(1);
    return value;
  }
  return {};
}

}  // namespace

Step Survey::start(Instant /*now*/) { return Request{.arguments = arguments_}; }

Step Survey::answered(const Answer& answer) {
  if (answer.type != Answer::Type::text) {
    warnings_.emplace_back(
        "its settings can not be looked at (" + refusal(answer, "INFO").text +
        "); make sure that maxmemory-policy is noeviction, and that a server with replicas keeps an append-only file");
    return Done{};
  }
  const std::string_view policy = value_of(answer.text, "maxmemory_policy");
  if (value_of(answer.text, "maxmemory") != "0" && !policy.empty() && policy != "noeviction") {
    warnings_.emplace_back("under memory pressure it deletes keys (maxmemory-policy " + std::string{policy} +
                           "), locks among them; set maxmemory-policy to noeviction");
  }
  const std::string_view replicas = value_of(answer.text, "connected_slaves");
  if (value_of(answer.text, "aof_enabled") == "0" && !replicas.empty() && replicas != "0") {
    warnings_.emplace_back(
        "it has replicas and keeps no append-only file: restarted, it comes back without its locks and the replicas "
        "forget "
        "them too; set appendonly to yes, or do not let it restart by itself");
  }
  return Done{};
}

Step Survey::unanswered() { return Request{.arguments = arguments_}; }

Step Survey::woken(Instant /*now*/) { return Done{}; }

}  // namespace redismutex::protocol
