#include "engine/stopped_token.hpp"

namespace redismutex::engine {
namespace {

/// Never destroyed: a lock may be looked at after main() has returned.
const std::stop_source& stopped_source() {
  static const std::stop_source& stopped = *[] {
    auto* const source = new std::stop_source;
    source->request_stop();
    return source;
  }();
  return stopped;
}

// Made before there is need of it: then there may be no memory.
[[maybe_unused]] const std::stop_source& made_at_the_start = stopped_source();

}  // namespace

std::stop_token stopped_token() noexcept { return stopped_source().get_token(); }

}  // namespace redismutex::engine
