#include "engine/quorum/quorum_lease.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <span>
#include <utility>

#include "engine/approach.hpp"
#include "engine/loss_job.hpp"
#include "engine/quorum/ballot.hpp"
#include "engine/quorum/bell.hpp"
#include "engine/quorum/collecting.hpp"
#include "engine/quorum/delegate.hpp"
#include "engine/quorum/quorum_giving_back.hpp"
#include "engine/session.hpp"
#include "engine/stopped_token.hpp"
#include "protocol/lease.hpp"
#include "protocol/probation.hpp"

namespace redismutex::engine {

using protocol::Instant;

namespace {

constexpr std::size_t no_server = static_cast<std::size_t>(-1);

// The votes of one ballot come apart in time by as much as the servers are apart from each other.
constexpr std::chrono::milliseconds longest_spread{100};

/// Its server is to tell when the key is changed. As Renewer::watch().
void watch(const Panel& panel, const QuorumLease::Part& part) {
  panel.session(part.server).renewer().watch(*part.lease);
}

}  // namespace

QuorumLease::QuorumLease(std::shared_ptr<const Panel> panel, protocol::Key key, const protocol::OwnerId& id,
                         Lease::Terms terms)
    : panel_{std::move(panel)},
      callbacks_{panel_->first().callbacks().weak_from_this().lock()},
      environment_{panel_->first().environment()},
      key_{std::move(key)},
      key_text_{key_.text()},
      value_{id.text()},
      terms_{std::move(terms)} {
  parts_.reserve(panel_->size());
  const bool observed = callbacks_->observer() != nullptr;
  if (!observed && !terms_.renews) return;
  job_ = make_loss_job();
  try {
    callbacks_->get_ready();
    for (std::size_t i = 0; i < panel_->size(); ++i) panel_->session(i).renewer().get_ready();
    is_told_ = true;
  } catch (const std::system_error&) {
    if (terms_.renews) throw;
    job_.reset();  // it is a lock all the same
  }
}

QuorumLease::~QuorumLease() = default;

std::unique_ptr<LossJob> QuorumLease::make_loss_job() const {
  return std::make_unique<LossJob>(callbacks_, key_, terms_.name);
}

// ---- votes ----------------------------------------------------------------------------------------------------------

/// One that comes so soon after the grant that clocks may differ by as much counts as the others do.
bool QuorumLease::add(Part part) noexcept {
  const Instant now = environment_.now();
  const std::lock_guard lock{mutex_};
  if (ended_ || lost_) return false;
  const bool has_begun = began_ != Instant{};
  // A server that has given its vote a second time has lost the first one.
  if (has_begun && !stands_without(part.server, now)) return false;
  part.added = now;
  part.counts =
      !has_begun || now <= began_ + std::min<Instant::duration>(protocol::drift(terms_.expiry), longest_spread);
  if (!part.counts) {
    for (const Part& older : parts_) older.lease->look_soon();
  }
  std::erase_if(parts_, [&part](const Part& one) { return one.server == part.server; });
  if (token_ != 0) part.lease->raise_token(token_);
  if (is_told_) part.lease->set_successor(shared_from_this());
  const bool is_watched = loss_.stop_possible();
  parts_.push_back(std::move(part));
  if (!is_watched) return true;
  try {
    watch(*panel_, parts_.back());
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): its loss is noticed at the end of its lease
  }
  return true;
}

/// With the lock held.
void QuorumLease::end_probation() const noexcept { protocol::end_probation(std::span{parts_}, panel_->majority()); }

/// With the lock held. `end`: until when a part lasts.
template <class End>
Instant QuorumLease::majority_end(const End& end) const noexcept {
  if (!is_present()) return {};
  std::vector<Instant> ends;
  try {
    end_probation();
    for (const Part& part : parts_) {
      if (part.counts) ends.push_back(end(part));
    }
    return protocol::lasts_until(ends, panel_->majority());
  } catch (const std::bad_alloc&) {  // then it can not be said
    return {};
  }
}

void QuorumLease::begin(std::shared_ptr<Ballot> ballot, std::uint64_t token, Instant now) noexcept {
  const std::lock_guard lock{mutex_};
  ballot_ = std::move(ballot);
  token_ = token;
  began_ = now;
  told_until_ = majority_end([](const Part& part) { return part.lease->valid_until(part.turn); });
  if (token_ != 0) {
    for (const Part& part : parts_) part.lease->raise_token(token_);
  }
  if (!terms_.renews) return;
  try {
    collecting_ = std::make_shared<Bell>();
    panel_->first().background().start(std::make_shared<Collecting>(weak_from_this(), terms_.expiry / 3, collecting_));
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see collect()
  }
}

bool QuorumLease::is_held() const noexcept {
  const std::lock_guard lock{mutex_};
  return is_present();
}

/// With the lock held.
std::vector<std::size_t> QuorumLease::lacking(Instant now) const {
  std::vector<std::size_t> servers;
  for (std::size_t i = 0; i < panel_->size(); ++i) {
    const bool has_vote = std::any_of(parts_.begin(), parts_.end(), [&](const Part& part) {
      return part.server == i && part.lease->valid_until(part.turn) > now;
    });
    if (!has_vote) servers.push_back(i);
  }
  return servers;
}

/// By ids of their own, because the one of the beginning may have been given back there.
void QuorumLease::collect() noexcept try {
  const std::shared_ptr<const Panel> panel = panel_;  // its Sessions stay meanwhile
  std::shared_ptr<Ballot> ballot;
  std::vector<std::size_t> servers;
  Instant latest_end = protocol::never;
  {
    const std::lock_guard lock{mutex_};
    if (!is_present() || !ballot_) return;
    const Instant now = environment_.now();
    ballot = ballot_;
    servers = lacking(now);
    // A vote that comes later may not last longer than the lock.
    if (terms_.max_hold.count() > 0) latest_end = began_ + terms_.max_hold;
    if (latest_end < now + terms_.expiry) return;
  }
  const Wishes wishes{.expiry = terms_.expiry,
                      .delay = terms_.expiry,
                      .wait_until = {},
                      .renews = terms_.renews,
                      .max_hold = terms_.max_hold,
                      .latest_end = latest_end,
                      .label = terms_.label,
                      .name = terms_.name};
  for (const std::size_t server : servers) {
    if (ballot->is_asking(server)) continue;
    Session& session = panel->session(server);
    const Candidacy candidacy{.id = route::new_owner_id(environment_, session.identity().tag()), .ticket = {}};
    session.background().start(std::make_shared<Delegate>(ballot, *panel, server, key_, wishes, candidacy));
  }
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see the header
}

Instant QuorumLease::began() const noexcept {
  const std::lock_guard lock{mutex_};
  return began_;
}

void QuorumLease::attend() noexcept {
  collect();
  if (callbacks_->observer() == nullptr) return;
  const Instant until = valid_until();
  const Instant now = environment_.now();
  if (until <= now || until <= std::exchange(told_until_, until)) return;
  try {
    callbacks_->tell_observer(
        [key = key_, name = terms_.name, left = protocol::time_left(until, now)](Observer& observer) {
          observer.lease_renewed({{name, key.text()}, left, 0});
        });
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
  }
}

std::uint64_t QuorumLease::token() const noexcept {
  const std::lock_guard lock{mutex_};
  return token_;
}

std::vector<QuorumLease::Part> QuorumLease::parts() const {
  const std::lock_guard lock{mutex_};
  end_probation();
  return parts_;
}

std::vector<QuorumLease::Part> QuorumLease::end() noexcept {
  std::shared_ptr<Ballot> ballot;
  std::shared_ptr<Bell> collecting;
  std::vector<Part> parts;
  {
    const std::lock_guard lock{mutex_};
    ended_ = true;
    end_probation();
    parts.swap(parts_);
    ballot.swap(ballot_);
    collecting.swap(collecting_);
  }
  if (collecting) collecting->wake();
  if (ballot) ballot->close();
  return parts;
}

// ---- validity -------------------------------------------------------------------------------------------------------

Instant QuorumLease::valid_until() const noexcept {
  const std::lock_guard lock{mutex_};
  return majority_end([](const Part& part) { return part.lease->valid_until(part.turn); });
}

Instant QuorumLease::valid_here_until() const noexcept {
  const std::lock_guard lock{mutex_};
  return majority_end([](const Part& part) { return part.lease->valid_here_until(part.turn); });
}

bool QuorumLease::has_claims() const noexcept {
  const std::lock_guard lock{mutex_};
  return is_present() &&
         std::any_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.lease->is_claim(part.turn); });
}

/// With the lock held: whether a majority is valid without that server's vote.
bool QuorumLease::stands_without(std::size_t server, Instant now) const noexcept {
  end_probation();
  const auto valid = std::count_if(parts_.begin(), parts_.end(), [&](const Part& part) {
    return part.counts && part.server != server && part.lease->valid_until(part.turn) > now;
  });
  return static_cast<std::size_t>(valid) >= panel_->majority();
}

// ---- loss -----------------------------------------------------------------------------------------------------------

std::optional<Loss> QuorumLease::lost() const noexcept {
  const std::lock_guard lock{mutex_};
  return lost_;
}

std::stop_token QuorumLease::lost_token() {
  {
    const std::lock_guard lock{mutex_};
    if (loss_.stop_possible()) return loss_.get_token();
    if (!is_present()) return stopped_token();
  }
  callbacks_->get_ready();
  auto job = make_loss_job();
  std::stop_source source;
  const std::lock_guard lock{mutex_};
  if (!is_present()) return stopped_token();
  if (loss_.stop_possible()) return loss_.get_token();  // another thread was faster
  for (const Part& part : parts_) watch(*panel_, part);
  loss_ = std::move(source);
  if (!job_) job_ = std::move(job);
  job_->source = loss_;
  is_told_ = true;
  for (const Part& part : parts_) part.lease->set_successor(shared_from_this());
  return loss_.get_token();
}

/// With the lock held; the first time.
std::unique_ptr<LossJob> QuorumLease::lose(Loss why) noexcept {
  lost_ = why;
  if (job_) job_->why = why;
  return std::move(job_);
}

std::unique_ptr<route::Job> QuorumLease::note_loss(Loss why) noexcept {
  std::unique_ptr<LossJob> job;
  {
    const std::lock_guard lock{mutex_};
    if (lost_) return nullptr;
    job = lose(why);
  }
  give_back(*this);
  return job;
}

/// At one server, in the Background of that server's Session. The votes that are left would be renewed, and keep others out, for as long as
/// this is there.
void QuorumLease::lease_is_over(Lease& lease, Lease::Turn /*turn*/) noexcept {
  const Loss why = lease.lost().value_or(Loss::expired);
  std::unique_ptr<LossJob> job;
  {
    const Instant now = environment_.now();
    const std::lock_guard lock{mutex_};
    if (!is_present() || stands_without(no_server, now)) return;
    job = lose(why);
  }
  if (job) callbacks_->run(std::move(job));
  give_back(*this);
}

}  // namespace redismutex::engine
