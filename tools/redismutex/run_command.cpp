#include "run_command.hpp"

#include <optional>
#include <redismutex/redismutex.hpp>

#include "child.hpp"
#include "embedded_server.hpp"
#include "end_on_signal.hpp"
#include "exit_status.hpp"
#include "guard.hpp"
#include "lease_timing.hpp"
#include "messages.hpp"

namespace redismutex::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto for_ever = std::chrono::milliseconds{24h * 365};  // then anew

struct EndedBySignal {
  int signal;
};

RedisMutex make_mutex(ConnectionOptions server, const RunArguments& arguments, LeaseTiming timing) {
  server.connect_timeout = timing.answer_timeout();
  server.command_timeout = timing.answer_timeout();
  return RedisMutex{Connection{std::move(server)},
                    {.blocking = false, .expiry = timing.expiry, .fencing = arguments.fencing}};
}

std::optional<Lock> try_to_acquire(const RedisMutex& mutex, const RunArguments& arguments,
                                   const std::stop_token& stop) {
  if (arguments.wait == 0ms) return mutex.try_acquire_lock(arguments.key);
  if (arguments.wait) return mutex.try_acquire_lock_for(arguments.key, *arguments.wait, stop);
  while (true) {
    if (auto lock = mutex.try_acquire_lock_for(arguments.key, for_ever, stop)) return lock;
  }
}

/// Nothing if the lock is taken. Throws EndedBySignal, with nothing held, if a signal asked for the end.
std::optional<Lock> acquire(const RedisMutex& mutex, const RunArguments& arguments, SignalReader& signals) {
  EndOnSignal end{signals};
  std::optional<Lock> lock;
  try {
    lock = try_to_acquire(mutex, arguments, end.token());
  } catch (const LockCancelled&) {
    // By the signal below. That may also come in the very moment of success, or in an attempt that can not be cancelled.
  }
  if (const auto signal = end.finish()) throw EndedBySignal{*signal};
  return lock;
}

/// Gives a lock back whose command has ended by itself with `status`, and says how the whole ended.
int release(Lock& lock, int status) {
  const auto key = lock.key();
  try {
    lock.release();
  } catch (const MutexUnlockError& error) {
    say("the lock '" + key + "' was lost before the command ended with exit status " + std::to_string(status) + " (" +
        error.what() + ")");
    return exit_status::lock_lost;
  } catch (const Error& error) {
    say("the lock '" + key + "' could not be released, and ends by itself (" + error.what() + ")");
  }
  return status;
}

int run_under(Lock& lock, const RunArguments& arguments, LeaseTiming timing, SignalReader& reader,
              const Signals& signals) {
  std::vector<std::string> environment{"REDISMUTEX_KEY=" + lock.key(), "REDISMUTEX_VALUE=" + lock.value()};
  if (const auto token = lock.fencing_token()) {
    environment.push_back("REDISMUTEX_FENCING_TOKEN=" + std::to_string(*token));
  }
  Child child{arguments.command, environment, signals};
  const auto outcome = Guard{lock, timing, child, reader}.watch();
  return outcome.stopped ? exit_status::lock_lost : release(lock, outcome.exit_status);
}

ConnectionOptions read_url(const RunArguments& arguments) {
  try {
    return parse_url(arguments.url);
  } catch (const std::invalid_argument& error) {
    const auto* const source = arguments.url_source == UrlSource::environment ? "$REDIS_URL" : "--url";
    throw std::invalid_argument{std::string{source} + ": " + error.what()};
  }
}

int run(const RunArguments& arguments, const Signals& signals) {
  std::optional<EmbeddedServer> embedded;  // outlives what is connected to it
  const auto server =
      arguments.url == embedded_url ? embedded.emplace(signals).connection_options() : read_url(arguments);
  const LeaseTiming timing{arguments.expiry};
  const auto mutex = make_mutex(server, arguments, timing);
  SignalReader reader{signals};
  std::optional<Lock> lock;
  do {
    lock.reset();
    lock = acquire(mutex, arguments, reader);
    // Whoever stood still since (Ctrl-Z, a suspended machine) may come too late with the lock to start anything.
  } while (lock && lock->valid_for() <= timing.stop_margin());
  if (!lock) {
    say("the lock '" + arguments.key + "' " + (arguments.wait > 0ms ? "was still taken after the wait" : "is taken"));
    return exit_status::not_acquired;
  }
  return run_under(*lock, arguments, timing, reader, signals);
}

int said(const std::exception& error, int status, std::string_view advice = {}) {
  say(error.what());
  if (!advice.empty()) say(advice);
  return status;
}

/// What to do about a server that is not reached, for those who may not know why it is this one.
std::string_view advice_on(UrlSource source) {
  switch (source) {
    case UrlSource::option: return {};
    case UrlSource::environment: return "that server is the one in $REDIS_URL; --url names another";
    case UrlSource::fallback:
      return "no server was named, so this is the default; name yours by --url or $REDIS_URL, "
             "or, for this machine alone, try: redismutex run --url embedded: ...";
  }
  return {};
}

}  // namespace

int run_command(const RunArguments& arguments, const Signals& signals) noexcept {
  try {
    return run(arguments, signals);
  } catch (const EndedBySignal& end) {
    return exit_status::ended_by_signal(end.signal);
  } catch (const std::invalid_argument& error) {
    return said(error, exit_status::usage, "try: redismutex run --help");
  } catch (const LoginError& error) {
    return said(error, exit_status::login_refused, "put the login into $REDIS_URL: redis://USER:PASSWORD@HOST");
  } catch (const ConnectionError& error) {
    return said(error, exit_status::unreachable, advice_on(arguments.url_source));
  } catch (const NoEmbeddedServer& error) {
    return said(error, exit_status::unreachable);
  } catch (const CannotStart& error) {
    return said(error, error.exit_status());
  } catch (const std::exception& error) {
    return said(error, exit_status::internal_error);
  }
}

}  // namespace redismutex::cli
