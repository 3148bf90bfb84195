// A table that refuses whoever is late: each row remembers the highest fencing token that has written it. A writer stands still for longer than
// its lease, and its write changes nothing when it goes on.

#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

/// The stock of a shop, in a database.
class Stock {
 public:
  Stock() {
    sqlite3* database = nullptr;
    const int result = ::sqlite3_open(":memory:", &database);
    database_.reset(database);
    check(result);
    run("CREATE TABLE stock (item TEXT PRIMARY KEY, amount INTEGER NOT NULL, token INTEGER NOT NULL DEFAULT 0)");
    run("INSERT INTO stock (item, amount) VALUES ('apples', 10)");
  }

  /// Writes, unless somebody with a higher token has written before. Returns whether it has: look and write are one step.
  bool set(const std::string& item, int amount, std::uint64_t token) {
    const std::string number = std::to_string(token);
    run("UPDATE stock SET amount = " + std::to_string(amount) + ", token = " + number + " WHERE item = '" + item +
        "' AND token <= " + number);
    return ::sqlite3_changes(database_.get()) == 1;
  }

 private:
  struct Close {
    void operator()(sqlite3* database) const { ::sqlite3_close(database); }
  };

  void run(const std::string& statement) {
    check(::sqlite3_exec(database_.get(), statement.c_str(), nullptr, nullptr, nullptr));
  }

  void check(int result) {
    if (result != SQLITE_OK) throw std::runtime_error{::sqlite3_errmsg(database_.get())};
  }

  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace

int main() try {
  Stock stock;
  // Two processes, in truth; each has a Connection of its own.
  const redismutex::RedisMutex slow{redismutex::Connection{}, {.blocking = false, .expiry = 200ms, .fencing = true}};
  const redismutex::RedisMutex quick{redismutex::Connection{}, {.fencing = true}};

  const auto of_slow = slow.acquire_lock("stock:apples");
  std::this_thread::sleep_for(300ms);  // stands still, for longer than its lease

  const auto of_quick = quick.acquire_lock("stock:apples");
  const bool quick_wrote = stock.set("apples", 9, *of_quick.fencing_token());
  const bool slow_wrote = stock.set("apples", 11, *of_slow.fencing_token());
  std::cout << "the quick one " << (quick_wrote ? "has written" : "was refused") << ", the slow one "
            << (slow_wrote ? "has written" : "was refused") << '\n';
  return quick_wrote && !slow_wrote ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
