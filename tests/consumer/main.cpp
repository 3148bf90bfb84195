// What a user's first program does: takes a lock, gives it back. The server is the one in $REDIS_URL. A library without TLS refuses
// what needs it, before it reaches for a server.

#include <iostream>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <string_view>

#ifdef CONSUMER_WITHOUT_TLS
static bool refuses_tls() {
  for (const auto* url : {"rediss://localhost", "valkeys://localhost"}) {
    try {
      const redismutex::Connection connection{url};
      return false;
    } catch (const std::invalid_argument& error) {
      if (std::string_view{error.what()}.find("built without TLS") == std::string_view::npos) return false;
    }
  }
  return true;
}
#endif

int main() {
#ifdef CONSUMER_WITHOUT_TLS
  if (!refuses_tls()) return 1;
#endif
  const redismutex::RedisMutex mutex{redismutex::Connection{}};
  {
    const auto lock = mutex.acquire_lock("consumer");
    if (!lock.owns_lock() || mutex.try_acquire_lock("consumer")) return 1;
  }
  if (!mutex.try_acquire_lock("consumer")) return 1;
  std::cout << "consumer: ok, redismutex " << redismutex::version() << '\n';
}
