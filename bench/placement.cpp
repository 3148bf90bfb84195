#include "placement.hpp"

#include <cstddef>
#include <stdexcept>
#include <vector>

#include "support/posix.hpp"

namespace redismutex::bench {
namespace {

using testing::checked;

constexpr pid_t this_thread = 0;

cpu_set_t allowed() {
  cpu_set_t set{};
  checked(::sched_getaffinity(this_thread, sizeof set, &set), "sched_getaffinity");
  return set;
}

std::vector<std::size_t> numbers(const cpu_set_t& set) {
  std::vector<std::size_t> result;
  for (std::size_t number = 0; number < CPU_SETSIZE; ++number) {
    if (CPU_ISSET(number, &set)) result.push_back(number);
  }
  return result;
}

void put_on(pid_t thread, std::size_t processor) {
  cpu_set_t one{};
  CPU_SET(processor, &one);
  checked(::sched_setaffinity(thread, sizeof one, &one), "sched_setaffinity");
}

}  // namespace

Placed::Placed(pid_t server, Placement placement) : server_{server}, before_{allowed()} {
  const auto processors = numbers(before_);
  if (placement == Placement::anywhere) return;
  if (placement == Placement::apart && processors.size() < 2) throw std::runtime_error{"there is only one processor"};
  put_on(server_, placement == Placement::apart ? processors.at(1) : processors.front());
  put_on(this_thread, processors.front());
}

Placed::~Placed() {
  ::sched_setaffinity(this_thread, sizeof before_, &before_);
  ::sched_setaffinity(server_, sizeof before_, &before_);
}

bool is_possible(Placement placement) { return placement != Placement::apart || numbers(allowed()).size() >= 2; }

}  // namespace redismutex::bench
