#include "one_processor.hpp"

#include <cerrno>
#include <system_error>

namespace redismutex::bench {
namespace {

constexpr pid_t this_thread = 0;

void check(int result, const char* call) {
  if (result == -1) throw std::system_error{errno, std::generic_category(), call};
}

}  // namespace

OneProcessor::OneProcessor(pid_t server) : server_{server} {
  check(::sched_getaffinity(this_thread, sizeof before_, &before_), "sched_getaffinity");
  cpu_set_t one{};
  CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
  check(::sched_setaffinity(server_, sizeof one, &one), "sched_setaffinity");
  check(::sched_setaffinity(this_thread, sizeof one, &one), "sched_setaffinity");
}

OneProcessor::~OneProcessor() {
  ::sched_setaffinity(this_thread, sizeof before_, &before_);
  ::sched_setaffinity(server_, sizeof before_, &before_);
}

}  // namespace redismutex::bench
