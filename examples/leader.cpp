// Leader election: every instance of a service waits for the same lock for as long as it lives, and the one that has it leads. Here three
// instances run, the leader is killed, and another one leads.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <iostream>
#include <redismutex/redismutex.hpp>
#include <stop_token>
#include <thread>

using namespace std::chrono_literals;

namespace {

/// What only the leader does, again and again, while `term` lasts. Here it says who leads.
void lead(const redismutex::Lock& term, const std::stop_token& stopping, int said_to) {
  const pid_t me = ::getpid();
  while (!stopping.stop_requested() && term.owns_lock()) {
    if (::write(said_to, &me, sizeof me) < 0) return;
    std::this_thread::sleep_for(100ms);
  }
}

/// An instance of the service, until it is stopped.
void serve(const std::stop_token& stopping, int said_to) {
  // A leader that dies is replaced after `expiry`; one that is stopped in good order, at once.
  const redismutex::RedisMutex election{redismutex::Connection{},
                                        {.block_time = 24h, .expiry = 1s, .auto_renew = true, .label = "example"}};
  while (!stopping.stop_requested()) {
    try {
      const redismutex::Lock term = election.acquire_lock("leader", stopping);
      lead(term, stopping, said_to);
    } catch (const redismutex::LockCancelled&) {         // it is stopped while it waits
    } catch (const redismutex::BlockTimeExceedError&) {  // a day is over: into the line again
    } catch (const redismutex::Error& error) {           // no server, for a day
      std::cerr << error.what() << '\n';
    }
  }
}

pid_t start_instance(int said_to) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  serve({}, said_to);
  ::_exit(0);
}

/// The next one that says that it leads.
pid_t leader(int heard_from, pid_t other_than = 0) {
  for (pid_t said = 0; ::read(heard_from, &said, sizeof said) == sizeof said;) {
    if (said != other_than) return said;
  }
  return 0;
}

}  // namespace

int main() {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) return 1;
  std::array<pid_t, 3> instances{};
  for (pid_t& instance : instances) instance = start_instance(pipe[1]);

  const pid_t first = leader(pipe[0]);
  std::cout << "process " << first << " leads, and is killed" << std::endl;
  ::kill(first, SIGKILL);
  const pid_t second = leader(pipe[0], first);
  std::cout << "process " << second << " leads\n";

  for (const pid_t instance : instances) ::kill(instance, SIGKILL);
  while (::wait(nullptr) > 0) {
  }
  return first != 0 && second != 0 && second != first ? 0 : 1;
}
