#include "histories/checker.hpp"

#include <ostream>
#include <utility>

#include "histories/chronicle.hpp"
#include "histories/findings.hpp"
#include "histories/rules.hpp"

namespace redismutex::histories {

std::ostream& operator<<(std::ostream& out, const Violation& violation) {
  return out << std::chrono::duration<double>{violation.time}.count() << " s: " << violation.text;
}

Verdict check(History history, const Bounds& bounds) {
  const Chronicle chronicle{std::move(history), bounds.expiry + 4 * bounds.delay + bounds.claim, 2 * bounds.message};
  Findings findings;
  check_exclusion(chronicle, findings);
  check_tokens(chronicle, findings);
  check_limits(chronicle, bounds, findings);
  check_releases(chronicle, bounds, findings);
  check_losses(chronicle, bounds, findings);
  check_writes(chronicle, findings);
  check_renewals(chronicle, findings);
  check_extensions(chronicle, bounds, findings);
  Verdict verdict;
  if (bounds.gaps) verdict.longest_gap = check_gaps(chronicle, bounds, findings);
  if (chronicle.server_is_known()) {
    check_backing(chronicle, findings);
    check_leases(chronicle, bounds, findings);
    check_traces(chronicle, bounds, findings);
    check_idling(chronicle, bounds, findings);
    check_processes(chronicle, bounds, findings);
    verdict.waited = check_line(chronicle, bounds, findings);
  }
  for (const Turn& turn : chronicle.turns()) verdict.acquired += turn.inside ? 1U : 0U;
  verdict.violations = findings.take();
  return verdict;
}

}  // namespace redismutex::histories
