#include "protocol/survey.hpp"

#include "protocol/info.hpp"

namespace redismutex::protocol {

Step Survey::start(Instant /*now*/) { return Request{.arguments = arguments_}; }

Step Survey::answered(const Answer& answer) {
  if (answer.type != Answer::Type::text) {
    warnings_.emplace_back(
        "its settings can not be looked at (" + refusal(answer, "INFO").text +
        "); make sure that maxmemory-policy is noeviction, and that a server with replicas keeps an append-only file");
    return Done{};
  }
  const std::string_view policy = info_value(answer.text, "maxmemory_policy");
  if (info_value(answer.text, "maxmemory") != "0" && !policy.empty() && policy != "noeviction") {
    warnings_.emplace_back("under memory pressure it deletes keys (maxmemory-policy " + std::string{policy} +
                           "), locks among them; set maxmemory-policy to noeviction");
  }
  const std::string_view replicas = info_value(answer.text, "connected_slaves");
  if (info_value(answer.text, "aof_enabled") == "0" && !replicas.empty() && replicas != "0") {
    warnings_.emplace_back(
        "it has replicas and keeps no append-only file: restarted, it comes back without its locks and the replicas "
        "forget "
        "them too; set appendonly to yes, or do not let it restart by itself");
  }
  if (!replicas.empty() && replicas != "0" && info_value(answer.text, "min_slaves_good_slaves").empty()) {
    warnings_.emplace_back(
        "it has replicas and takes writes without them: after a failover it goes on granting locks for some ten "
        "seconds, while the "
        "new master grants them, too; set min-replicas-to-write to 1 and min-replicas-max-lag to 1 or 2");
  }
  return Done{};
}

Step Survey::unanswered() { return Request{.arguments = arguments_}; }

}  // namespace redismutex::protocol
