#include "api/leaving.hpp"

#include <exception>
#include <variant>

#include "api/report.hpp"
#include "engine/leaving.hpp"
#include "protocol/exchange.hpp"
#include "route/sleeper.hpp"

namespace redismutex::api {

void tell_of_label(Runtime& runtime, const protocol::Key& key, std::string_view why) {
  runtime.callbacks().log_here(report::cannot(runtime.server_name(), {"write the label of", key}, why));
}

void write_label(Runtime& runtime, engine::Lease& lease, const engine::Lease::Left& left) noexcept try {
  using engine::Leaving;
  route::Sleeper sleeper;
  Leaving leaving{runtime.session(), lease.shared_from_this(), left, &sleeper};
  runtime.drive(leaving, sleeper);
  const Leaving::Outcome outcome = leaving.outcome();
  if (const auto* none = std::get_if<engine::NoAnswer>(&outcome))
    tell_of_label(runtime, lease.key(), none->failure.text);
  if (const auto* refused = std::get_if<protocol::Refusal>(&outcome))
    tell_of_label(runtime, lease.key(), refused->text);
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no thread, no memory; the lock stands without it
}

}  // namespace redismutex::api
