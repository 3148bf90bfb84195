#include "api/leaving.hpp"

#include <algorithm>
#include <exception>
#include <string>
#include <variant>

#include "api/report.hpp"
#include "protocol/exchange.hpp"
#include "protocol/label.hpp"

namespace redismutex::api {

void write_label(Runtime& runtime, const engine::Lease& lease, const engine::Lease::Left& left) noexcept try {
  protocol::WriteLabel machine{lease.key(), lease.id(), left.label};
  const engine::Session& session = runtime.session();
  const auto failure = runtime.run(machine, session.terms_sparing_absent(std::min(session.patience(), left.until)));
  const auto* const refusal = std::get_if<protocol::Refusal>(&machine.outcome());
  if (!failure && refusal == nullptr) return;
  const std::string& why = failure ? failure->text : refusal->text;
  runtime.callbacks().log_here(report::cannot(runtime.server_name(), {"write the label of", lease.key()}, why));
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no thread, no memory; the lock stands without it
}

}  // namespace redismutex::api
