#include "hold_lock.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <redismutex/printable.hpp>
#include <stop_token>
#include <system_error>
#include <thread>

#include "event.hpp"
#include "shared/exit_status.hpp"
#include "shared/json_text.hpp"
#include "shared/messages.hpp"
#include "waiting.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

/// Stops a wait in this thread when the interruption happens in the meantime.
class StopOn {
 public:
  explicit StopOn(const Interruption& interruption) : interruption_{interruption}, thread_{[this] { listen(); }} {}
  StopOn(const StopOn&) = delete;
  StopOn& operator=(const StopOn&) = delete;
  ~StopOn() {
    over_.raise();
    thread_.join();
  }

  std::stop_token token() const { return stop_.get_token(); }

 private:
  void listen() {
    std::vector<pollfd> sources{{over_.descriptor(), POLLIN, 0}};
    for (const int descriptor : interruption_.descriptors) sources.push_back({descriptor, POLLIN, 0});
    while (!interruption_.happened()) {
      ::poll(sources.data(), sources.size(), -1);
      if (sources.front().revents != 0) return;
    }
    stop_.request_stop();
  }

  const Interruption& interruption_;
  Event over_;
  std::stop_source stop_;
  std::thread thread_;  // last: it uses all the others
};

std::string program_of(pid_t process) {
  std::string name;
  std::getline(std::ifstream{"/proc/" + std::to_string(process) + "/comm"}, name);
  return name;
}

/// What people are told who look at the lock and nothing was said: "hold/deploy.sh".
std::string usual_label(const HoldArguments& arguments) {
  return arguments.with ? "hold/" + program_of(*arguments.with) : "hold";
}

/// None if the lock is taken, or the server is away and may be waited for.
std::optional<Lock> try_once(const RedisMutex& mutex, const HoldArguments& arguments) {
  try {
    return mutex.try_acquire_lock(arguments.key);
  } catch (const LoginError&) {
    throw;
  } catch (const ConnectionError& error) {
    if (arguments.wait == 0ms) throw;
    say(std::string{error.what()} + "; waiting for the server");
    return std::nullopt;
  }
}

}  // namespace

Connection connection_for(const HoldArguments& arguments, ConnectionOptions server) {
  const LeaseTiming timing{arguments.expiry};
  server.connect_timeout = timing.answer_timeout();
  server.command_timeout = timing.answer_timeout();
  return Connection{std::move(server)};
}

RedisMutex mutex_for(const HoldArguments& arguments, Connection connection) {
  return RedisMutex{std::move(connection),
                    {.blocking = false,
                     .expiry = arguments.lease.value_or(arguments.expiry),
                     .auto_renew = !arguments.lease,
                     .fencing = true,
                     .label = arguments.label.empty() ? usual_label(arguments) : arguments.label}};
}

std::optional<Lock> take(const Connection& connection, const RedisMutex& mutex, const HoldArguments& arguments,
                         const Interruption& interruption) {
  // Most locks are free: no thread has to be started to listen meanwhile. The attempt does not take long.
  auto lock = try_once(mutex, arguments);
  if (!lock && arguments.wait != 0ms && !interruption.happened()) {
    const StopOn end{interruption};
    lock = wait_for_lock(mutex, arguments.key, arguments.wait, end.token());
  }
  if (interruption.happened()) throw LockCancelled{"the wait was ended"};  // also in the very moment of success
  if (!lock) say(taken_text(connection, arguments.key, arguments.wait));
  return lock;
}

std::string announcement(const Lock& lock, const HoldArguments& arguments) {
  const auto token = std::to_string(lock.fencing_token().value_or(0));
  if (!arguments.json) return "held " + printable(lock.key()) + " " + lock.value() + " " + token + "\n";
  const auto lease = arguments.lease.value_or(arguments.expiry);
  return R"({"schema":1,)" + json_key(lock.key()) + R"(,"id":)" + json_string(lock.value()) + R"(,"token":)" + token +
         R"(,"lease_seconds":)" + json_seconds(lease) + "}\n";
}

bool print(const std::string& announcement) {
  std::size_t written = 0;
  while (written < announcement.size()) {
    const auto more = ::write(STDOUT_FILENO, announcement.data() + written, announcement.size() - written);
    if (more < 0 && errno == EPIPE) return false;
    if (more < 0) throw std::system_error(errno, std::generic_category(), "cannot write to standard output");
    written += static_cast<std::size_t>(more);
  }
  return true;
}

int give_back(Lock& lock) {
  const auto key = lock.key();
  try {
    lock.release();
  } catch (const MutexUnlockError& error) {
    say("the lock '" + key + "' was lost before the end (" + error.what() + ")");
    return exit_status::lock_lost;
  } catch (const Error& error) {
    say("the lock '" + key + "' could not be released, and ends by itself (" + error.what() + ")");
  }
  return 0;
}

}  // namespace redismutex::cli
