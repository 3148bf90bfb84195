#include <iostream>
#include <redismutex/redismutex.hpp>

int main() {
  const redismutex::RedisMutex mutex{redismutex::Connection{"redis://localhost"}};  // connects when it is used
  std::cout << redismutex::version() << '\n';
  return redismutex::version() == REDISMUTEX_VERSION ? 0 : 1;
}
