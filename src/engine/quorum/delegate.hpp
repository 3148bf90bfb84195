#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "engine/approach.hpp"
#include "engine/quorum/ballot.hpp"
#include "engine/quorum/bell.hpp"
#include "engine/quorum/panel.hpp"
#include "engine/quorum/quorum_lease.hpp"
#include "protocol/acquire.hpp"
#include "protocol/info.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "route/background.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

/// An attempt's way to the lock at one server of a quorum, in the Background of that server's Session: asks for the vote, waits in line for
/// it, keeps it until a majority stands, yields it when it is told to. What it has when its Ballot is closed it gives back. A server that
/// answers on a new connection is first asked who it is, for the Roll.
class Delegate final : public route::Background::Operation, private route::Procedure {
 public:
  /// Throws as Approach does. `ballot`: it is among its delegates until it is over.
  Delegate(std::shared_ptr<Ballot> ballot, const Panel& panel, std::size_t server, const protocol::Key& key,
           const Wishes& wishes, const Candidacy& candidacy);
  ~Delegate() override;

  std::size_t server() const noexcept { return server_; }

  // ---- with the Ballot's lock held

  /// Of one that has a vote: it is a lease from now on.
  QuorumLease::Part begin_lease(protocol::Instant now) noexcept;

  /// Which nobody wants, in the background.
  void give_back(const QuorumLease::Part& part) noexcept;

  void wake() noexcept { bell_.wake(); }

 private:
  struct Question {
    explicit Question(Session& session)
        : conversation{session.environment(), session.router(), machine, session.terms()} {}
    protocol::AskInfo machine{"server"};
    Conversation conversation;
  };

  route::Procedure& procedure() noexcept override { return *this; }
  void note_waker(route::Waker* waker) noexcept override { bell_.lead_to(waker); }
  void over(End end) noexcept override;

  Step start(protocol::Instant now) override;
  Step resume(Event&& event, protocol::Instant now) override;

  template <class Next>
  Step converse(const Next& next, protocol::Instant now);
  Step go_on(Step step, protocol::Instant now);
  Step conclude(protocol::Instant now);
  Step judge_vote(const protocol::Acquire::Held& held, protocol::Instant now);
  bool is_stranger() const noexcept;
  Step question(protocol::Instant now);
  Step question_on(const Step& step, protocol::Instant now);
  Step wait_for_age(bool link_broke, protocol::Instant now);
  Step keep_vote(bool link_broke, protocol::Instant now);
  Step ask_again(protocol::Instant now);
  void note_trouble(const route::Failure& failure, protocol::Instant now, std::string code = {});
  const protocol::Acquire::Held* held() const noexcept;

  const std::shared_ptr<Ballot> ballot_;
  const std::size_t server_;
  Session& session_;
  const std::shared_ptr<Roll> roll_;
  Bell bell_;
  std::optional<Approach> approach_;
  std::optional<Question> question_;  // to the server, who it is; while the answer to the first one is kept
  bool is_too_young_ = false;         // the server, for its vote to count
  bool has_vote_ = false;             // and has told so
  protocol::Instant sent_at_{};
};

}  // namespace redismutex::engine
