#include "api/leaving.hpp"

#include <algorithm>
#include <exception>
#include <string>
#include <variant>

#include "api/report.hpp"
#include "protocol/exchange.hpp"
#include "protocol/label.hpp"
#include "route/environment.hpp"
#include "route/sleeper.hpp"

namespace redismutex::api {
namespace {

/// Until no label is under way in the background: it says that somebody has the lock.
void wait_for_others(engine::Lease& lease, protocol::Instant deadline, const engine::Session& session) {
  struct Waiting {
    engine::Lease& lease;
    route::Sleeper sleeper;
    ~Waiting() { lease.await_labels(nullptr); }
  };
  Waiting waiting{lease, {}};
  while (lease.await_labels(&waiting.sleeper) && session.now() < deadline) {
    waiting.sleeper.sleep(route::deadline_at(deadline), {});
  }
}

}  // namespace

void write_label(Runtime& runtime, engine::Lease& lease, const engine::Lease::Left& left) noexcept try {
  const engine::Session& session = runtime.session();
  const protocol::Instant deadline = std::min(session.patience(), left.until);
  wait_for_others(lease, deadline, session);
  protocol::WriteLabel machine{lease.key(), lease.id(), left.label};
  const auto failure = runtime.run(machine, session.terms_sparing_absent(deadline));
  const auto* const refusal = std::get_if<protocol::Refusal>(&machine.outcome());
  if (!failure && refusal == nullptr) return;
  const std::string& why = failure ? failure->text : refusal->text;
  runtime.callbacks().log_here(report::cannot(runtime.server_name(), {"write the label of", lease.key()}, why));
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no thread, no memory; the lock stands without it
}

}  // namespace redismutex::api
