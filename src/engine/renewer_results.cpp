// What came of the renewer's visits.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <redismutex/observer.hpp>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "engine/lease.hpp"
#include "engine/renewer.hpp"
#include "engine/renewer_flight.hpp"
#include "engine/session.hpp"
#include "protocol/lease.hpp"
#include "protocol/verdict.hpp"
#include "route/callbacks.hpp"

namespace redismutex::engine {
namespace {

using protocol::ExtendMany;
using protocol::Instant;
using std::chrono::milliseconds;

constexpr milliseconds first_retry{20};
constexpr milliseconds longest_retry{500};

constexpr std::size_t most_at_once = 2048;

/// A renewal that the Observer is to hear of.
struct Renewed {
  protocol::Key key;
  std::string name;
  milliseconds valid_for;
  std::int64_t waiting;
};

}  // namespace

void Renewer::take_in(Batch& batch, Instant now) {
  if (!batch.confirming && batch.fates.size() == batch.parts.size()) note_carried_out(batch);
  if (!batch.replicas.is_off() && confirm(batch, now)) return;
  for (const Batch::Part& part : batch.parts) {
    if (const auto lease = part.lease.lock()) lease->seat_.under_way_ = false;
  }
  if (batch.fates.size() != batch.parts.size()) return retry(batch, batch.trouble, now);
  failures_ = 0;
  batch.how.share = random_share();
  note_fates(batch, now);
}

/// The server has refused none of them.
void Renewer::note_carried_out(const Batch& batch) noexcept {
  if (!batch.is_of_few) return;
  few_at_once_ = std::min(2 * few_at_once_, most_at_once);
  few_not_before_ = {};
  for (const Batch::Part& part : batch.parts) {
    if (const auto lease = part.lease.lock()) lease->seat_.together_ = ExtendMany::most_items;
  }
}

void Renewer::note_fates(Batch& batch, Instant now) {
  std::vector<Renewed> renewed;
  const bool observed = session_.callbacks().observer() != nullptr;
  for (std::size_t i = 0; i < batch.parts.size(); ++i) {
    const auto& [kept, visit] = batch.parts[i];
    const std::shared_ptr<Lease> lease = kept.lock();
    if (!lease) continue;
    if (std::holds_alternative<protocol::Extend::Gone>(batch.fates[i])) {
      lease->lose(Loss::gone);
      lease->tell_successor();
      continue;
    }
    const Instant until = lease->conclude_visit(visit, batch.fates[i], batch.how, now);
    const bool is_vote = lease->terms().part == Lease::Part::vote;  // its QuorumLease tells
    if (!observed || !visit.renews || until <= now || is_vote) continue;
    try {
      renewed.push_back({lease->key(), lease->name(), protocol::time_left(until, now),
                         std::get<protocol::Extend::Extended>(batch.fates[i]).waiting});
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
    }
  }
  if (renewed.empty()) return;
  try {
    session_.callbacks().tell_observer([renewed = std::move(renewed)](Observer& observer) {
      for (const Renewed& one : renewed) {
        observer.lease_renewed({{one.name, one.key.text()}, one.valid_for, one.waiting});
      }
    });
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the same
  }
}

void Renewer::tell_failure(std::size_t leases, std::string_view reason) noexcept try {
  session_.callbacks().tell_observer([leases, reason = std::string{reason}](Observer& observer) {
    observer.renewal_failed({.leases = leases, .reason = reason});
  });
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
}

/// Those that were under way together fail together: that is one failure.
void Renewer::retry(Batch& batch, std::string_view trouble, Instant now) noexcept {
  const bool is_first = failures_ == 0;
  const auto renewals =
      static_cast<std::size_t>(std::count_if(batch.parts.begin(), batch.parts.end(), [](const Batch::Part& part) {
        const auto lease = part.lease.lock();
        return part.visit.renew_to.count() > 0 && lease && !lease->lost();  // the loss of one tells of its renewal, too
      }));
  if (is_first || batch.sent_at > failed_at_) {
    ++failures_;
    failed_at_ = now;
  }
  std::shared_ptr<const std::string> why;
  std::uint64_t bits = 0;
  try {
    bits = session_.environment().random_bits();
    why = std::make_shared<const std::string>(
        std::string{batch.is_refused ? "the server said: " : "the reason: "}.append(trouble));
    if (is_first && renewals > 0) {
      session_.router()
          .server_of(batch.keys.front())
          .log("locks could not be renewed and will be tried again; " + *why);
    }
    if (renewals > 0) tell_failure(renewals, trouble);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory to say so, no chance
  }
  const Instant again = now + route::jittered_pause(failures_ - 1, first_retry, longest_retry, bits);
  // One of them may be what the server refuses, with which the others are not to be lost: half of them go together the next time.
  // One that is alone already, as in most slots of a cluster, has gone with nobody.
  const bool is_of_one = batch.is_refused && may_concern_one_key(protocol::verdict(trouble));
  const bool halve = is_of_one && batch.parts.size() > 1;
  if (is_of_one && (halve || batch.is_of_few)) {
    few_not_before_ = again;
    few_at_once_ = least_at_once;
    why_few_ = why;
  }
  for (const Batch::Part& part : batch.parts) {
    const auto lease = part.lease.lock();
    if (!lease) continue;
    lease->seat_.under_way_ = false;
    if (halve) lease->seat_.together_ = batch.parts.size() / 2;
    lease->put_off(again, why, now);
  }
}

double Renewer::random_share() noexcept {
  constexpr double least = 0.28;
  constexpr double most = 1.0 / 3;
  std::uint64_t bits = 0;
  try {
    bits = session_.environment().random_bits();
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): then not at random
  }
  return least + (most - least) * static_cast<double>(bits >> 11U) / static_cast<double>(1ULL << 53U);
}

}  // namespace redismutex::engine
