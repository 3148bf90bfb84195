// For the program without TLS, which starts in half the time: redismutex-tls is installed beside it.

#include <algorithm>

#include "shared/program_beside.hpp"
#include "tls_program.hpp"

namespace redismutex::cli {

void run_tls_program(const std::vector<std::string>& urls, const char* name, const std::vector<std::string>& words) {
  // rediss://, rediss+sentinel://, ...
  const auto has_tls = [](const auto& url) { return url.starts_with("rediss") || url.starts_with("valkeys"); };
  if (std::none_of(urls.begin(), urls.end(), has_tls)) return;
  run_program_beside("redismutex-tls", name, words, "TLS needs it: install redismutex as a whole");
}

}  // namespace redismutex::cli
