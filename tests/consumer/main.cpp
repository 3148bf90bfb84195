// What a user's first program does: takes a lock, gives it back. The server is the one in $REDIS_URL.

#include <iostream>
#include <redismutex/redismutex.hpp>

int main() {
  const redismutex::RedisMutex mutex{redismutex::Connection{}};
  {
    const auto lock = mutex.acquire_lock("consumer");
    if (!lock.owns_lock() || mutex.try_acquire_lock("consumer")) return 1;
  }
  if (!mutex.try_acquire_lock("consumer")) return 1;
  std::cout << "consumer: ok, redismutex " << redismutex::version << '\n';
}
