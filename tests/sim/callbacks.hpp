#pragma once

#include <memory>

#include "net/workers.hpp"
#include "route/callbacks.hpp"

namespace redismutex::sim {

class Process;

/// Threads of a process for what is called back.
class Callbacks final : public route::Callbacks {
 public:
  explicit Callbacks(Process& process) : route::Callbacks{nullptr, nullptr}, process_{process} {}

  void get_ready() override {}
  void run(std::unique_ptr<net::Job> job) noexcept override;

 private:
  void plan(std::shared_ptr<net::Job> job);

  Process& process_;
};

}  // namespace redismutex::sim
