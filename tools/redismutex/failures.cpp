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
std::string advice_on(const RunArguments& arguments) {
  if (arguments.url_source == url_option) return {};
  return "that server is the one in " + arguments.url_source + "; --url names another";
}

}  // namespace

int say_failure(const RunArguments& arguments) noexcept {
  try {
    throw;
  } catch (const EndedBySignal& end) {
    return exit_status::ended_by_signal(end.signal);
  } catch (const std::invalid_argument& error) {
    return said(error, exit_status::usage, "try: redismutex run --help");
  } catch (const LoginError& error) {
    return said(error, exit_status::login_refused, "put the login into $REDIS_URL: redis://USER:PASSWORD@HOST");
  } catch (const ConnectionError& error) {
    return said(error, exit_status::unreachable, advice_on(arguments));
  } catch (const NoEmbeddedServer& error) {
    return said(error, exit_status::unreachable);
  } catch (const CannotStart& error) {
    return said(error, error.exit_status());
  } catch (const std::exception& error) {
    return said(error, exit_status::internal_error);
  }
}

}  // namespace redismutex::cli
