#include "many_connections.hpp"

#include <sys/resource.h>

#include <filesystem>
#include <iterator>
#include <redismutex/redismutex.hpp>
#include <vector>

#include "support/posix.hpp"

namespace redismutex::bench {
namespace {

double entries_of(const char* directory) {
  return static_cast<double>(
      std::distance(std::filesystem::directory_iterator{directory}, std::filesystem::directory_iterator{}));
}

void allow_descriptors() {
  rlimit limit{};
  testing::checked(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  testing::checked(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

}  // namespace

Footprint use_connections(const std::string& url, int connections) {
  allow_descriptors();
  std::vector<Connection> all;
  for (int number = 0; number < connections; ++number) {
    all.emplace_back(url);
    RedisMutex{all.back()}.acquire_lock("bench:connections:" + std::to_string(number)).release();
  }
  const Lock renewed = RedisMutex{all.front(), {.auto_renew = true}}.acquire_lock("bench:connections:renewed");
  // One descriptor is the look itself.
  return {.descriptors = entries_of("/proc/self/fd") - 1, .threads = entries_of("/proc/self/task")};
}

}  // namespace redismutex::bench
