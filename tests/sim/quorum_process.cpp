#include "sim/quorum_process.hpp"

#include <string>
#include <utility>
#include <vector>

namespace redismutex::sim {

QuorumProcess::QuorumProcess(std::deque<World>& servers, int number, int threads, std::chrono::milliseconds grace) {
  const Clock clock = Process::draw_clock(servers.front());
  std::vector<engine::Panel::Member> members;
  for (World& server : servers) {
    Process& connection = connections_.emplace_back(server, number, threads, clock);
    const std::shared_ptr<void> is_not_shared;
    members.push_back({.session = {is_not_shared, &connection.session()}, .name = std::to_string(members.size())});
  }
  panel_ = std::make_shared<const engine::Panel>(std::move(members), grace);
}

QuorumProcess::~QuorumProcess() {
  for (Process& each : connections_) each.end();
  for (Process& each : connections_) each.drop_threads();
}

void QuorumProcess::pause(Time duration) {
  for (Process& each : connections_) each.pause(duration);
}

void QuorumProcess::die(bool with_its_machine) {
  for (Process& each : connections_) each.die(with_its_machine);
}

}  // namespace redismutex::sim
