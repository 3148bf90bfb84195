// A program whose tests give it a memory: URL: it calls nothing of redismutex::testing by name.
#include <cstdio>
#include <redismutex/redismutex.hpp>

namespace {

const redismutex::Connection connection{"memory:consumer"};

}  // namespace

int main() {
  const redismutex::RedisMutex mutex{connection};
  const auto lock = mutex.acquire_lock("key");
  if (mutex.try_acquire_lock("key")) return 1;
  std::puts("consumer: ok");
}
