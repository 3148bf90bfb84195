#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/lease.hpp"
#include "engine/renewer.hpp"
#include "protocol/extend.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

/// What goes in one command, and what came of it. It keeps no lease alive: who has given a lease back does not wait.
struct RenewerBatch {
  struct Part {
    std::weak_ptr<Lease> lease;
    Lease::Visit visit;
  };
  std::vector<Part> parts;
  bool is_of_few = false;  // because a command was refused in which they were with others
  std::vector<protocol::Key> keys;
  std::vector<protocol::OwnerId> ids;
  protocol::Instant sent_at;

  std::vector<protocol::ExtendMany::Fate> fates;  // of each part; none: there is trouble
  std::string trouble;
  bool is_refused = false;  // by the server: its words
  Lease::Circumstances how;

  Replicas replicas;                         // that are to have received it
  std::shared_ptr<route::Waker> confirming;  // a Renewer::Confirming, from the question on
};

class Renewer::Flight final : public Conversing<protocol::ExtendMany> {
 public:
  Flight(std::shared_ptr<Landing> landing, std::shared_ptr<Batch> batch, Instant now)
      : Conversing{landing->setting, landing->setting.terms(), items(*batch), protocol::Tracking::on},
        landing_{std::move(landing)},
        batch_{std::move(batch)} {
    batch_->sent_at = now;
  }

  void over(End end) noexcept override {
    try {
      note(end);
    } catch (const std::bad_alloc&) {
      batch_->fates.clear();
      batch_->trouble = route::out_of_memory;
    }
    landing_->leave(batch_);
  }

 private:
  static std::vector<protocol::ExtendMany::Item> items(const Batch& batch) {
    std::vector<protocol::ExtendMany::Item> items;
    items.reserve(batch.parts.size());
    for (std::size_t i = 0; i < batch.parts.size(); ++i) {
      items.push_back({&batch.keys[i], &batch.ids[i], batch.parts[i].visit.renew_to});
    }
    return items;
  }

  void note(End end) {
    if (end == End::abandoned) {
      batch_->trouble = "it was given up";
    } else if (const auto& failure = conversation_.failure()) {
      batch_->trouble = failure->text;
    } else if (const auto* refusal = std::get_if<protocol::Refusal>(&machine_.outcome())) {
      batch_->trouble = refusal->text;
      batch_->is_refused = true;
    } else {
      batch_->fates = std::get<std::vector<protocol::ExtendMany::Fate>>(machine_.outcome());
    }
    const std::uint64_t link = conversation_.link();
    route::Pushes& pushes = conversation_.server().pushes();
    const bool may_track = pushes.may_track();
    const bool tracks = may_track && !conversation_.asks_once() && pushes.tracks(link);
    batch_->how = {
        .by = {.server = &conversation_.authority(), .link = link}, .tracks = tracks, .may_track = may_track};
  }

  const std::shared_ptr<Landing> landing_;
  std::shared_ptr<Batch> batch_;
};

}  // namespace redismutex::engine
