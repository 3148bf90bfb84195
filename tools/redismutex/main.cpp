#include <fcntl.h>

#include "arguments.hpp"
#include "job_control.hpp"
#include "run_command.hpp"
#include "signals.hpp"

namespace redismutex::cli {
namespace {

/// Who started us may have closed stdin, stdout or stderr. Our sockets must not take their numbers, or what is meant for
/// stderr would go to the server. The command finds them closed again.
void occupy_standard_descriptors() {
  while (true) {
    const int number = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (number > STDERR_FILENO) ::close(number);
    if (number < 0 || number > STDERR_FILENO) return;
  }
}

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  std::vector<std::string> words(argv + 1, argv + argc);
  hide_passwords(argv + 1);
  const auto parsed = parse_arguments(std::move(words));
  if (const auto* const status = std::get_if<Finished>(&parsed)) return *status;

  const Signals signals;
  leave_process_for_the_shell(signals);
  return run_command(std::get<RunArguments>(parsed), signals);
}

}  // namespace
}  // namespace redismutex::cli

int main(int argc, char** argv) { return redismutex::cli::main(argc, argv); }
