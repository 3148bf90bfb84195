#include "shared/failures.hpp"

#include "shared/messages.hpp"
#include "shared/parser.hpp"

namespace redismutex::cli {

int say_error(const std::exception& error, int status, std::string_view advice) {
  say(error.what());
  if (!advice.empty()) say(advice);
  return status;
}

std::string advice_on_server(std::string_view url_source) {
  if (url_source == url_option) return {};
  return std::string{"that server is the one in "}.append(url_source).append("; --url names another");
}

std::string advice_on_login(std::string_view url_source) {
  // What stands on a command line is seen by everybody.
  const std::string_view place = url_source == url_option ? "$REDIS_URL" : url_source;
  return std::string{"put the login into the URL in "}.append(place).append(": redis://USER:PASSWORD@HOST");
}

}  // namespace redismutex::cli
