#pragma once

#include <memory>
#include <vector>

#include "protocol/instant.hpp"
#include "route/background.hpp"
#include "sim/bell.hpp"
#include "sim/peer.hpp"
#include "sim/task.hpp"

namespace redismutex::sim {

class Process;

/// What a process does that no thread of it waits for. Dies with the process, and is paused with it.
class Background final : public route::Background {
 public:
  Background(Process& process, Peer& peer);
  ~Background() = default;

  /// The process is being taken apart: nothing is begun any more.
  void end() noexcept { ended_ = true; }

  void get_ready() override {}
  void start(std::shared_ptr<Operation> operation) override;
  void enlist(Duty& duty) override;
  void call(Duty& duty, protocol::Instant at) noexcept override;
  void withdraw(Duty& duty) noexcept override;
  void listen(bool wanted) noexcept override;
  void verify_server() noexcept override {}
  bool take_in_pushes(route::Server& /*server*/) noexcept override;

 private:
  struct Enlisted {
    Duty* duty;
    protocol::Instant due;
  };

  Task<> operate(std::shared_ptr<Operation> operation);
  Task<> see_to_duties();
  Task<> keep_connected();
  Enlisted* find(const Duty& duty) noexcept;
  Time next_due() const;

  Process& process_;
  Peer& peer_;
  Bell duty_bell_, listen_bell_;
  std::vector<Enlisted> duties_;
  bool begun_ = false;
  bool listening_ = false;
  bool listen_wanted_ = false;
  bool ended_ = false;
};

}  // namespace redismutex::sim
