// For a program that can do without another one: it has TLS, or there is none in this build.

#include <sys/prctl.h>

#include "tls_program.hpp"

namespace redismutex::cli {

void run_tls_program(const std::vector<std::string>& /*urls*/, const char* /*name*/,
                     const std::vector<std::string>& /*words*/) {
  ::prctl(PR_SET_NAME, "redismutex");  // by which people and pkill(1) find it
}

}  // namespace redismutex::cli
