#pragma once

#include <deque>
#include <memory>

#include "engine/quorum/panel.hpp"
#include "sim/process.hpp"
#include "sim/world.hpp"

namespace redismutex::sim {

/// A process with a connection to each server of a quorum, and one clock.
class QuorumProcess {
 public:
  /// `servers` must outlive it.
  QuorumProcess(std::deque<World>& servers, int number, int threads, std::chrono::milliseconds grace);
  ~QuorumProcess();
  QuorumProcess(const QuorumProcess&) = delete;
  QuorumProcess& operator=(const QuorumProcess&) = delete;

  /// Whose threads are those of the process.
  Process& first() noexcept { return connections_.front(); }
  const Process& first() const noexcept { return connections_.front(); }
  const std::shared_ptr<const engine::Panel>& panel() const noexcept { return panel_; }

  // Trouble.
  void pause(Time duration);
  void die(bool with_its_machine);
  void cut(std::size_t server) { connections_.at(server).cut(); }

 private:
  std::deque<Process> connections_;
  std::shared_ptr<const engine::Panel> panel_;
};

}  // namespace redismutex::sim
