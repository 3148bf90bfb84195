// Renewals that count only when replicas have received them.

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/lane.hpp"
#include "engine/lease.hpp"
#include "engine/renewer.hpp"
#include "engine/renewer_flight.hpp"
#include "engine/session.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {
namespace {

using protocol::Extend;
using protocol::Instant;

// Until the next visit of a lock that the server did not have which was to confirm it, or not for as long.
constexpr std::chrono::milliseconds moment{20};

std::string text_of(const Lane::Trouble& trouble) {
  return std::visit([](const auto& why) { return why.text; }, trouble);
}

}  // namespace

/// A batch of renewals at a lane. It and its batch have each other until it lands once more.
class Renewer::Confirming final : public route::Waker {
 public:
  Confirming(std::shared_ptr<Landing> landing, std::shared_ptr<Batch> batch, const Lane::Terms& terms, Instant now)
      : began{now},
        items{items_of(*batch)},
        member{items, terms, *this, false},
        landing_{std::move(landing)},
        batch_{std::move(batch)} {}

  /// Once. The last one to have the batch may be this.
  void wake() noexcept override {
    std::shared_ptr<Batch> batch = std::move(batch_);
    landing_->leave(batch);
  }

  const Instant began;
  std::vector<Lane::Item> items;
  Lane::Member member;

 private:
  static std::vector<Lane::Item> items_of(const Batch& batch) {
    std::vector<Lane::Item> items;
    items.reserve(batch.parts.size());
    for (std::size_t i = 0; i < batch.parts.size(); ++i) {
      const Instant sent_at = std::get<Extend::Extended>(batch.fates[i]).sent_at;
      items.push_back({.key = batch.keys[i],
                       .id = batch.ids[i],
                       .lasts_until = protocol::valid_until(sent_at, batch.parts[i].visit.renew_to)});
    }
    return items;
  }

  const std::shared_ptr<Landing> landing_;
  std::shared_ptr<Batch> batch_;
};

/// Whether nothing else is to be done with the batch now.
bool Renewer::confirm(Batch& batch, Instant now) noexcept try {
  if (batch.confirming) {
    take_in_confirmed(batch, now);
    return true;
  }
  return batch.fates.size() == batch.parts.size() && begin_to_confirm(batch, now);
} catch (const std::bad_alloc&) {
  retry(batch, route::out_of_memory, now);
  return true;
}

/// Those that were extended go on in a batch of their own. Whether they are all.
bool Renewer::begin_to_confirm(Batch& batch, Instant now) {
  const auto is_extended = [&](std::size_t i) { return std::holds_alternative<Extend::Extended>(batch.fates[i]); };
  auto extended = std::make_shared<Batch>();
  Batch rest;
  auto shortest = std::chrono::milliseconds::max();
  for (std::size_t i = 0; i < batch.parts.size(); ++i) {
    Batch& to = is_extended(i) ? *extended : rest;
    if (is_extended(i)) shortest = std::min(shortest, batch.parts[i].visit.renew_to);
    to.parts.push_back(batch.parts[i]);
    to.keys.push_back(batch.keys[i]);
    to.ids.push_back(batch.ids[i]);
    to.fates.push_back(batch.fates[i]);
  }
  if (extended->parts.empty()) return false;
  extended->sent_at = batch.sent_at;
  extended->how = batch.how;
  extended->replicas = batch.replicas;
  const protocol::Key& key = extended->keys.front();
  const Lane::Terms terms{.replicas = batch.replicas,
                          .until = session_.confirmed_until(now, shortest),
                          .slot = session_.router().slot_of(key)};
  const std::shared_ptr<Lane> lane = session_.lanes().of(key);
  const auto confirming = std::make_shared<Confirming>(landing_, extended, terms, now);
  batch.parts = std::move(rest.parts);
  batch.keys = std::move(rest.keys);
  batch.ids = std::move(rest.ids);
  batch.fates = std::move(rest.fates);
  extended->confirming = confirming;
  note_begun();
  lane->enter(confirming->member);
  return batch.parts.empty();
}

void Renewer::take_in_confirmed(Batch& batch, Instant now) {
  // It goes with the last round that knows the batch.
  const auto confirming = std::static_pointer_cast<Confirming>(batch.confirming);
  if (!confirming->member.is_confirmed()) {
    const auto waited = std::chrono::floor<std::chrono::milliseconds>(now - confirming->began);
    return retry(batch, text_of(confirming->member.why_not(waited)), now);
  }
  failures_ = 0;
  batch.how.share = random_share();
  Batch there;
  for (std::size_t i = 0; i < batch.parts.size(); ++i) {
    const auto lease = batch.parts[i].lease.lock();
    if (!lease) continue;
    lease->seat_.under_way_ = false;
    if (confirming->items[i].there_until) {
      there.parts.push_back(batch.parts[i]);
      there.parts.back().visit.confirmed_until = *confirming->items[i].there_until;
      there.fates.push_back(batch.fates[i]);
    } else {
      lease->put_off(now + moment, nullptr, now);
    }
  }
  there.how = batch.how;
  note_fates(there, now);
}

}  // namespace redismutex::engine
