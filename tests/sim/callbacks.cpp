#include "sim/callbacks.hpp"

#include <algorithm>
#include <utility>

#include "sim/process.hpp"

namespace redismutex::sim {

using namespace std::chrono_literals;

void Callbacks::run(std::unique_ptr<net::Job> job) noexcept { plan(std::move(job)); }

void Callbacks::plan(std::shared_ptr<net::Job> job) {
  World& world = process_.world();
  const Time time = std::max(process_.paused_until(), world.now() + world.random.between(0us, 50us));
  world.agenda.at(time, [this, job = std::move(job)] {
    if (!process_.alive()) return;
    if (process_.paused_until() > process_.world().now()) return plan(job);
    job->run();
  });
}

}  // namespace redismutex::sim
