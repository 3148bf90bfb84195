#include "failures.hpp"

#include <redismutex/errors.hpp>

#include "child.hpp"
#include "embedded_server.hpp"
#include "shared/exit_status.hpp"
#include "shared/failures.hpp"

namespace redismutex::cli {

int say_failure(std::string_view url_source, std::string_view command) noexcept {
  try {
    throw;
  } catch (const EndedBySignal& end) {
    return exit_status::ended_by_signal(end.signal);
  } catch (const std::invalid_argument& error) {
    return say_error(error, exit_status::usage, std::string{"try: "}.append(command).append(" --help"));
  } catch (const LoginError& error) {
    return say_error(error, exit_status::login_refused, advice_on_login(url_source));
  } catch (const ConnectionError& error) {
    return say_error(error, exit_status::unreachable, advice_on_server(url_source));
  } catch (const ServerError& error) {
    return say_error(error, exit_status::internal_error, advice_on_rights(error));
  } catch (const NoEmbeddedServer& error) {
    return say_error(error, exit_status::unreachable);
  } catch (const CannotStart& error) {
    return say_error(error, error.exit_status());
  } catch (const std::exception& error) {
    return say_error(error, exit_status::internal_error);
  }
}

int say_failure(const RunArguments& arguments) noexcept {
  return say_failure(arguments.servers.source, "redismutex run");
}

}  // namespace redismutex::cli
