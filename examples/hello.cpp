// The smallest program. Start it on as many machines as you like: one at a time is inside.

#include <iostream>
#include <redismutex/redismutex.hpp>

int main() try {
  const redismutex::Connection connection;  // $REDIS_URL, else redis://localhost:6379
  const redismutex::RedisMutex mutex{connection};

  const auto lock = mutex.acquire_lock("hello");
  std::cout << "'" << lock.key() << "' is mine for " << lock.valid_for().count() << " ms, unless I am done earlier\n";
}  // released here
catch (const redismutex::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
