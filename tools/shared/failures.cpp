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
  const auto advice =
      std::string{"the login is that of the URL in "}.append(url_source).append(": redis://USER:PASSWORD@HOST");
  // What stands on a command line is seen by everybody.
  return url_source == url_option ? advice + "; better put it into $REDISMUTEX_URL, or into a file for --url-file"
                                  : advice;
}

std::string advice_on_rights(const ServerError& refusal) {
  if (refusal.reason() != ServerError::Reason::no_permission) return {};
  return "the server's user lacks a right; 'redismutex doctor' names those that are missing, and what to say to the "
         "server";
}

}  // namespace redismutex::cli
