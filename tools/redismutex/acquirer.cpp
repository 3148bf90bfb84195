#include "acquirer.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "end_of_wait.hpp"
#include "lease_timing.hpp"
#include "shared/holder.hpp"
#include "shared/messages.hpp"
#include "shared/shell_word.hpp"
#include "wait_teller.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

/// What stands beside the lock: it is there also when the connection is not.
std::string usual_label(const Wanter& wanter) {
  std::array<char, 65> host{};
  ::gethostname(host.data(), host.size() - 1);
  const auto label = wanter.purpose + ", pid " + std::to_string(wanter.process) + " on " + host.data();
  return label.substr(0, longest_label);
}

/// The library names a connection by the program that it finds itself in.
void name_program(std::string purpose) {
  static std::string name;
  name = std::move(purpose);
  program_invocation_short_name = name.data();
}

LockServers connect(std::vector<ConnectionOptions> servers, const LockArguments& arguments, const Wanter& wanter,
                    const std::shared_ptr<LockNews>& news) {
  name_program(wanter.purpose);
  const LeaseTiming timing{arguments.expiry};
  for (auto& server : servers) {
    server.connect_timeout = timing.answer_timeout();
    server.command_timeout = timing.answer_timeout();
    server.observer = news;
    if (arguments.verbose) server.log = [](std::string_view sentence) { say(sentence); };
  }
  return {std::move(servers), arguments.grace.value_or(0ms)};
}

/// It would be "taken" for ever.
struct NotALock : std::runtime_error {
  NotALock(const std::string& key, const std::string& type)
      : std::runtime_error{"'" + key + "' is no lock: something of the type " + type +
                           " is stored there. Use another name for the lock, or delete it if nothing needs it"} {}
};

}  // namespace

Acquirer::Acquirer(const LockArguments& arguments, const Wanter& wanter, const Lease& lease,
                   std::vector<ConnectionOptions> servers, Means means)
    : arguments_{arguments},
      means_{std::move(means)},
      news_{std::make_shared<LockNews>(servers)},
      servers_{connect(std::move(servers), arguments, wanter, news_)},
      mutex_{servers_.connection(),
             {.blocking = false,
              .expiry = lease.expiry,
              .auto_renew = lease.renews,
              .fencing = true,
              .replicas = arguments.replicas,
              .label = arguments.label.empty() ? usual_label(wanter) : arguments.label}} {}

std::optional<Lock> Acquirer::acquire() {
  // Most locks are free: no thread has to be started to listen meanwhile. The attempt takes as long as a server may take that does not
  // answer, which is no matter of those who say how long they wait.
  const bool has_limit = arguments_.wait && *arguments_.wait != 0ms;
  std::optional<Lock> lock;
  if (!has_limit) lock = try_once();
  const bool waits = !lock && arguments_.wait != 0ms;
  if (waits && !means_.interruption.happened()) lock = wait();
  if (means_.interruption.happened()) throw LockCancelled{"the wait was ended"};  // also in the very moment of success
  return lock;
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
  EndOfWait end{means_.interruption, *news_, arguments_.patience};
  std::optional<Lock> lock;
  try {
    const WaitTeller teller{servers_, *news_, arguments_, means_.group};
    lock = stand_in_line(end.token());
  } catch (const LockCancelled&) {  // NOLINT(bugprone-empty-catch): why, is asked below
  }
  const auto absence = end.finish();
  if (!lock && absence && !means_.interruption.happened()) {
    throw ConnectionError{"cannot acquire lock '" + arguments_.key + "': " + news_->whom() +
                          " was away for longer than --patience (" + absence->reason + ")"};
  }
  return lock;
}

std::optional<Lock> Acquirer::stand_in_line(const std::stop_token& stop) const {
  constexpr auto for_ever = std::chrono::milliseconds{24h * 365};  // then anew
  if (arguments_.wait) return mutex_.try_acquire_lock_for(arguments_.key, *arguments_.wait, stop);
  while (true) {
    if (auto lock = mutex_.try_acquire_lock_for(arguments_.key, for_ever, stop)) return lock;
  }
}

/// What to do next: who does not use this library is not told when its lock is broken.
std::string Acquirer::advice_on(const Inspection& seen) const {
  const std::string command =
      seen.state == Inspection::State::held ? "; to break it: redismutex break" : "; more of it: redismutex status";
  // Options can not follow a key that looks like one.
  const bool is_last = arguments_.key.starts_with('-');
  return command + (is_last ? arguments_.servers.words : "") + " " + shell_operand(arguments_.key) +
         (is_last ? "" : arguments_.servers.words);
}

void Acquirer::say_taken() const {
  auto text =
      "the lock '" + arguments_.key + "' " + (arguments_.wait > 0ms ? "was still taken after the wait" : "is taken");
  try {
    const auto seen = servers_.inspect(arguments_.key, {.waiters = 0, .clients = !arguments_.quiet});
    if (seen.state == Inspection::State::not_a_lock && !arguments_.servers.are_quorum())
      throw NotALock{arguments_.key, seen.type};
    if (seen.state != Inspection::State::free) text += " " + taken_by(seen);
    if (seen.state != Inspection::State::free) text += advice_on(seen);
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch): the user may not look at locks; or the server has gone
  }
  if (!arguments_.quiet) say(text);
}

}  // namespace redismutex::cli
