// For the program without TLS, which starts in half the time: redismutex-tls is installed beside it.

#include "shared/program_beside.hpp"
#include "tls_program.hpp"

namespace redismutex::cli {

void run_tls_program(const std::string& url, const char* name, const std::vector<std::string>& words) {
  // rediss://, rediss+sentinel://, ...
  if (!url.starts_with("rediss") && !url.starts_with("valkeys")) return;
  run_program_beside("redismutex-tls", name, words, "TLS needs it: install redismutex as a whole");
}

}  // namespace redismutex::cli
