#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/conversation.hpp"
#include "engine/lease.hpp"
#include "engine/renewer.hpp"
#include "engine/session.hpp"
#include "protocol/extend.hpp"
#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"

namespace redismutex::engine {

/// What goes in one command, and what came of it. It keeps no lease alive: who has given a lease back does not wait.
struct Renewer::Batch {
  struct Part {
    std::weak_ptr<Lease> lease;
    Lease::Visit visit;
  };
  std::vector<Part> parts;
  std::vector<protocol::Key> keys;
  std::vector<protocol::OwnerId> ids;
  Instant sent_at;

  std::vector<protocol::ExtendMany::Fate> fates;  // of each part; none: there is trouble
  std::string trouble;
  bool is_refused = false;  // by the server: its words
  Lease::Circumstances how;
};

/// Where the commands under way leave what came of them; outlives the renewer if need be.
struct Renewer::Landing {
  std::mutex mutex;               // guards the rest; before the Background's
  route::Background::Duty* duty;  // none: nobody wants to know any more
  route::Background& background;
  std::vector<std::shared_ptr<Batch>> landed;  // has room for all

  // Of labels. Belongs to the Background, without the mutex.
  std::size_t labels = 0;           // under way
  bool label_trouble_told = false;  // to the log
};

class Renewer::Flight final : public route::Background::Operation {
 public:
  Flight(Session& session, std::shared_ptr<Landing> landing, std::shared_ptr<Batch> batch, Instant now)
      : environment_{session.environment()},
        server_{session.server()},
        landing_{std::move(landing)},
        batch_{std::move(batch)},
        machine_{items(*batch_), protocol::Tracking::on},
        conversation_{environment_,
                      server_,
                      machine_,
                      {.deadline = session.patience(), .patience = session.limits().connect_timeout}} {
    batch_->sent_at = now;
  }

  route::Procedure& procedure() noexcept override { return conversation_; }

  void over(End end) noexcept override {
    try {
      note(end);
    } catch (const std::bad_alloc&) {
      batch_->fates.clear();
      batch_->trouble = route::out_of_memory;
    }
    const std::lock_guard lock{landing_->mutex};
    if (landing_->duty == nullptr) return;
    landing_->landed.push_back(std::move(batch_));
    landing_->background.call(*landing_->duty, environment_.now());
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
    const bool may_track = server_.pushes().may_track();
    const bool tracks = may_track && !server_.pushes().incomplete(link);
    batch_->how = {.link = link, .tracks = tracks, .may_track = may_track};
  }

  route::Environment& environment_;
  route::Server& server_;
  const std::shared_ptr<Landing> landing_;
  std::shared_ptr<Batch> batch_;
  protocol::ExtendMany machine_;
  engine::Conversation conversation_;
};

}  // namespace redismutex::engine
