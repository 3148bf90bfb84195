#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/conversation.hpp"
#include "protocol/instant.hpp"
#include "route/background.hpp"
#include "route/callbacks.hpp"
#include "route/environment.hpp"
#include "route/router.hpp"

namespace redismutex::engine {

using route::Callbacks;

/// What a Session has from outside, and its time limits. What is there the simulator supplies, too. A copy is as good.
class Setting {
 public:
  struct Outside {
    route::Environment& environment;
    route::Router router;
    route::Background& background;
    Callbacks& callbacks;
  };
  struct Limits {
    std::chrono::milliseconds connect_timeout;
    std::chrono::milliseconds command_timeout;
  };

  Setting(const Outside& outside, const Limits& limits) : outside_{outside}, limits_{limits} {}

  protocol::Instant now() const noexcept { return outside_.environment.now(); }
  route::Environment& environment() const noexcept { return outside_.environment; }
  const route::Router& router() const noexcept { return outside_.router; }
  route::Background& background() const noexcept { return outside_.background; }
  Callbacks& callbacks() const noexcept { return outside_.callbacks; }

  /// How long an operation that has no time limit of its own may take: to reach the server and to get an answer.
  protocol::Instant patience(protocol::Instant now) const noexcept {
    return now + limits_.connect_timeout + limits_.command_timeout;
  }
  protocol::Instant patience() const noexcept { return patience(now()); }

  /// How long the server may take for an answer, before the connection counts as broken.
  std::chrono::milliseconds longest_answer() const noexcept { return limits_.command_timeout; }

  /// Until when replicas may take to receive what was written of a lease which lasts that long still.
  protocol::Instant confirmed_until(protocol::Instant now, protocol::Instant::duration lease) const noexcept {
    return now + std::min<protocol::Instant::duration>(limits_.connect_timeout, lease / 4);
  }

  /// Of a conversation that may take until then; without a time: as long.
  Conversation::Terms terms(protocol::Instant deadline) const noexcept {
    return {.deadline = deadline, .patience = limits_.connect_timeout};
  }
  Conversation::Terms terms() const noexcept { return terms(patience()); }
  Conversation::Terms terms_sparing_absent(protocol::Instant deadline) const noexcept {
    Conversation::Terms terms = this->terms(deadline);
    terms.spares_absent = true;
    return terms;
  }

 private:
  const Outside outside_;
  const Limits limits_;
};

/// A machine on its way in the Background.
template <class Machine>
class Conversing : public route::Background::Operation {
 public:
  route::Procedure& procedure() noexcept final { return conversation_; }

 protected:
  /// `given`: for the machine.
  template <class... Given>
  Conversing(const Setting& setting, const Conversation::Terms& terms, Given&&... given)
      : machine_{std::forward<Given>(given)...},
        conversation_{setting.environment(), setting.router(), machine_, terms} {}

  Machine machine_;
  engine::Conversation conversation_;
};

}  // namespace redismutex::engine
