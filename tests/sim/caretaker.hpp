#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "protocol/extend.hpp"
#include "protocol/instant.hpp"
#include "sim/bell.hpp"
#include "sim/lease.hpp"
#include "sim/task.hpp"

namespace redismutex::sim {

/// Renews the leases of one process, and watches their keys. Does what engine::Caretaker does.
class Caretaker {
 public:
  explicit Caretaker(Process& process);

  struct Care {
    std::chrono::milliseconds renew_to{0};  ///< 0: only watch the key
    protocol::Instant no_longer_than = protocol::Instant::max();
  };
  void take(const std::shared_ptr<Lease>& lease, const Care& care);
  void forget(const Lease& lease);

  void key_changed(const std::string& key);
  void all_changed();

 private:
  struct Ward {
    std::shared_ptr<Lease> lease;
    Care care;
    protocol::Instant due;
    bool visited = false;                     // now
    std::chrono::milliseconds renew_to = {};  // this time
  };

  Task<> run();
  std::vector<Ward*> gather();
  Task<> visit(std::vector<Ward*> wards);
  void take_in(const std::vector<Ward*>& wards, const protocol::ExtendMany& machine);
  void retry(const std::vector<Ward*>& wards);

  Process& process_;
  Bell bell_;
  std::vector<std::unique_ptr<Ward>> wards_;
  bool started_ = false;
  bool rung_ = false;
  unsigned failures_ = 0;
};

}  // namespace redismutex::sim
