#include "hold_lock.hpp"

#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <redismutex/printable.hpp>
#include <system_error>
#include <utility>

#include "shared/exit_status.hpp"
#include "shared/json_text.hpp"
#include "shared/messages.hpp"

namespace redismutex::cli {
namespace {

std::string program_of(pid_t process) {
  std::string name;
  std::getline(std::ifstream{"/proc/" + std::to_string(process) + "/comm"}, name);
  return name;
}

/// As people see it who look at the lock: "hold/deploy.sh".
Wanter wanter(const HoldArguments& arguments) {
  if (!arguments.with) return {"hold", ::getpid()};
  return {"hold/" + program_of(*arguments.with), *arguments.with};
}

}  // namespace

Acquirer acquirer_for(const HoldArguments& arguments, std::vector<ConnectionOptions> servers,
                      Interruption interruption) {
  return {arguments,
          wanter(arguments),
          {.expiry = arguments.lease.value_or(arguments.expiry), .renews = !arguments.lease},
          std::move(servers),
          {.interruption = std::move(interruption), .group = ::getpgrp()}};
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
