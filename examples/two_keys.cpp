// Two keys at a time: money goes from one account to another, in both directions at once, and nobody waits for ever.

#include <chrono>
#include <functional>
#include <iostream>
#include <mutex>
#include <redismutex/redismutex.hpp>
#include <thread>

using namespace std::chrono_literals;

namespace {

struct Account {
  redismutex::Mutex mutex;
  long balance;
};

void transfer(Account& from, Account& to, long amount) {
  // One after the other in the order of the arguments, two that go in opposite directions would wait for each other.
  const std::scoped_lock both{from.mutex, to.mutex};
  const long before = from.balance;
  std::this_thread::sleep_for(1ms);
  from.balance = before - amount;
  to.balance += amount;
}

void transfer_often(Account& from, Account& to, long amount) {
  for (int i = 0; i < 20; ++i) transfer(from, to, amount);
}

}  // namespace

int main() try {
  const redismutex::Connection connection;
  Account red{.mutex{connection, "account:red"}, .balance = 100};
  Account blue{.mutex{connection, "account:blue"}, .balance = 100};
  {
    const std::jthread one{transfer_often, std::ref(red), std::ref(blue), 3};
    const std::jthread other{transfer_often, std::ref(blue), std::ref(red), 2};
  }
  std::cout << "red has " << red.balance << ", blue has " << blue.balance << '\n';
  return red.balance == 80 && blue.balance == 120 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
