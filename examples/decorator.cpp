// Functions that hold a mutex while they run, with a key made from their own arguments: deposits to one account wait for
// each other, deposits to different accounts do not.

#include <chrono>
#include <iostream>
#include <map>
#include <redismutex/redismutex.hpp>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

std::map<std::string, int> balances{{"alice", 0}, {"bob", 0}};  // stands for a database without transactions

int deposit(const std::string& account, int amount) {
  const int before = balances.at(account);
  std::this_thread::sleep_for(5ms);  // time enough for someone else to come between
  return balances.at(account) = before + amount;
}

std::string key_of(const std::string& account, int /*amount*/) { return "account:" + account; }

}  // namespace

int main() try {
  const redismutex::Connection connection;  // $REDIS_URL, else redis://localhost:6379
  const auto safe_deposit = redismutex::with_redismutex(connection, key_of, deposit, {.delay = 10ms});

  {
    std::vector<std::jthread> customers;
    for (const std::string account : {"alice", "bob"}) {
      for (int customer = 0; customer < 4; ++customer) {
        customers.emplace_back([&safe_deposit, account] {
          for (int round = 0; round < 5; ++round) safe_deposit(account, 10);
        });
      }
    }
  }

  // A fixed key and any callable do as well; what the function returns comes through.
  const auto total =
      redismutex::with_redismutex(connection, "accounts", [] { return balances.at("alice") + balances.at("bob"); });
  const int sum = total();
  std::cout << "2 accounts, 4 customers each, 5 deposits of 10 from each: " << sum << " of 400\n";
  return sum == 400 ? 0 : 1;
} catch (const redismutex::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
