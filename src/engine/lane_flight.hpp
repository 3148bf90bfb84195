#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/conversation.hpp"
#include "engine/lane.hpp"
#include "protocol/instant.hpp"
#include "protocol/replicas.hpp"
#include "protocol/witness.hpp"
#include "route/procedure.hpp"

namespace redismutex::engine {

/// Asks once for those who wait at a lane: for the leader, and for all others, as far as their slots of a cluster are well. Then each of them is
/// over, or goes back to those who wait, and the next leads. May be destroyed at any time: then they all go back.
class LaneFlight final : public route::Procedure {
 public:
  /// By the member that leads; none: in the Background.
  LaneFlight(std::shared_ptr<Lane> lane, Lane::Member* leader) noexcept : lane_{std::move(lane)}, leader_{leader} {}
  ~LaneFlight();

  /// Those that it asks for are none of its business any more.
  void abandon() noexcept { is_over_ = true; }

  Step start(protocol::Instant now) override;
  Step resume(Event&& event, protocol::Instant now) override;

 private:
  using Member = Lane::Member;

  bool gather(protocol::Instant now);
  std::vector<Member*> choose(Member& first, protocol::Instant now);
  Step count(protocol::Instant now);
  Step ask(protocol::Instant now);
  Step leave(protocol::Instant now);
  Step go_on(Step step, protocol::Instant now);
  Step counted(protocol::Instant now);
  Step answered(protocol::Instant now);
  Step settle(const std::shared_ptr<const Lane::Trouble>& trouble, protocol::Instant now);
  Step concluded(const protocol::Witness::Seen& seen, protocol::Instant now);
  Conversation::Terms terms() const noexcept;
  template <class Judge>
  Step land(const Judge& judge);

  const std::shared_ptr<Lane> lane_;
  Member* const leader_;
  bool is_over_ = false;
  std::vector<Lane::Item> items_;
  std::vector<route::Waker::Rest> rests_;
  std::vector<std::uint16_t> slots_;  // of each item
  bool are_of_many_slots_ = false;
  bool are_several_ = false;  // members
  protocol::Instant until_ = protocol::Instant::max();
  std::optional<protocol::CountReplicas> count_;
  std::optional<protocol::Witness> witness_;
  std::optional<engine::Conversation> conversation_;
};

}  // namespace redismutex::engine
