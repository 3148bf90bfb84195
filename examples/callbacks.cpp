// Locks with callbacks, in threads of the library: no loop, no coroutine.

#include <future>
#include <iostream>
#include <memory>
#include <redismutex/async.hpp>
#include <redismutex/redismutex.hpp>
#include <utility>

namespace {

using redismutex::AsyncLock;
using redismutex::Outcome;

void report(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& reason) {
    std::cerr << reason.what() << '\n';
  }
}

}  // namespace

int main() try {
  const redismutex::AsyncMutex mutex{redismutex::Connection{}};
  std::promise<int> status;
  mutex.acquire_lock("report").start([&status](Outcome<AsyncLock> taken) {
    if (!taken) {
      report(taken.error());
      return status.set_value(1);
    }
    AsyncLock lock = std::move(taken).get();
    std::cout << "writing the report, as " << lock.value() << '\n';
    lock.release().start([&status](const Outcome<void>& released) {
      if (!released) report(released.error());
      status.set_value(released ? 0 : 1);
    });
  });
  return status.get_future().get();
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
