#include "acquirer.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "end_on_signal.hpp"
#include "failures.hpp"
#include "shared/messages.hpp"
#include "wait_teller.hpp"
#include "waiting.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_label = 512;

/// What people see of this run where they look at the lock or at the server's connections: "run/report.sh".
std::string purpose_of(const RunArguments& arguments) {
  const std::string_view program{arguments.command.front()};
  return "run/" + std::string{program.substr(program.rfind('/') + 1)};
}

/// What stands beside the lock: it is there also when the connection is not.
std::string label_of(const RunArguments& arguments) {
  if (!arguments.label.empty()) return arguments.label;
  std::array<char, 65> host{};
  ::gethostname(host.data(), host.size() - 1);
  const auto label = purpose_of(arguments) + ", pid " + std::to_string(::getpid()) + " on " + host.data();
  return label.substr(0, longest_label);
}

/// The library names a connection by the program that it finds itself in.
void name_program(std::string purpose) {
  static std::string name;
  name = std::move(purpose);
  program_invocation_short_name = name.data();
}

Connection connect(ConnectionOptions server, const RunArguments& arguments, LeaseTiming timing,
                   std::shared_ptr<LockNews> news) {
  name_program(purpose_of(arguments));
  server.connect_timeout = timing.answer_timeout();
  server.command_timeout = timing.answer_timeout();
  server.observer = std::move(news);
  if (arguments.verbose) server.log = [](std::string_view sentence) { say(sentence); };
  return Connection{std::move(server)};
}

}  // namespace

Acquirer::Acquirer(Means means, const RunArguments& arguments, ConnectionOptions server)
    : means_{means},
      arguments_{arguments},
      timing_{arguments.expiry},
      connection_{connect(std::move(server), arguments, timing_, news_)},
      mutex_{connection_,
             {.blocking = false,
              .expiry = timing_.expiry,
              .auto_renew = true,
              .fencing = true,
              .label = label_of(arguments)}} {}

std::optional<Lock> Acquirer::acquire() {
  // Most locks are free: no thread has to be started to listen meanwhile. The attempt does not take long.
  auto lock = try_once();
  if (const auto signal = signal_that_asks_to_end(means_.watcher, means_.signals)) throw EndedBySignal{*signal};
  return lock || arguments_.wait == 0ms ? std::move(lock) : wait();
}

/// A server that is away, or takes no locks for the moment, is no reason to give up for one who waits.
std::optional<Lock> Acquirer::try_once() {
  try {
    return mutex_.try_acquire_lock(arguments_.key);
  } catch (const LoginError&) {
    throw;
  } catch (const Error&) {  // if waiting can not help, the wait says so at once
    if (arguments_.wait == 0ms) throw;
    return std::nullopt;
  }
}

std::optional<Lock> Acquirer::wait() {
  EndOnSignal end{means_.watcher, means_.signals, *news_, arguments_.patience};
  std::optional<Lock> lock;
  try {
    const WaitTeller teller{connection_, *news_, arguments_, means_.group};
    lock = wait_for_lock(mutex_, arguments_.key, arguments_.wait, end.token());
  } catch (const LockCancelled&) {
    // By the signal below, or because the server was away for too long. That may also come in the very moment of success.
  }
  if (const auto signal = end.finish()) throw EndedBySignal{*signal};
  if (!lock && end.absence()) {
    throw ConnectionError{"cannot acquire lock '" + arguments_.key +
                          "': the server was away for longer than --patience (" + end.absence()->reason + ")"};
  }
  return lock;
}

std::string Acquirer::taken() const { return taken_text(connection_, arguments_.key, arguments_.wait); }

}  // namespace redismutex::cli
