#include "failures.hpp"

#include <redismutex/errors.hpp>

#include "child.hpp"
#include "embedded_server.hpp"
#include "shared/exit_status.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"

namespace redismutex::cli {
namespace {

int said(const std::exception& error, int status, std::string_view advice = {}) {
  say(error.what());
  if (!advice.empty()) say(advice);
  return status;
}

/// What to do about a server that is not reached, for those who may not know why it is this one.
std::string advice_on(std::string_view url_source) {
  if (url_source == url_option) return {};
  return std::string{"that server is the one in "}.append(url_source).append("; --url names another");
}

}  // namespace

int say_failure(std::string_view url_source, std::string_view command) noexcept {
  try {
    throw;
  } catch (const EndedBySignal& end) {
    return exit_status::ended_by_signal(end.signal);
  } catch (const std::invalid_argument& error) {
    return said(error, exit_status::usage, std::string{"try: "}.append(command).append(" --help"));
  } catch (const LoginError& error) {
    return said(error, exit_status::login_refused, "put the login into $REDIS_URL: redis://USER:PASSWORD@HOST");
  } catch (const ConnectionError& error) {
    return said(error, exit_status::unreachable, advice_on(url_source));
  } catch (const NoEmbeddedServer& error) {
    return said(error, exit_status::unreachable);
  } catch (const CannotStart& error) {
    return said(error, error.exit_status());
  } catch (const std::exception& error) {
    return said(error, exit_status::internal_error);
  }
}

int say_failure(const RunArguments& arguments) noexcept {
  return say_failure(arguments.server.source, "redismutex run");
}

}  // namespace redismutex::cli
