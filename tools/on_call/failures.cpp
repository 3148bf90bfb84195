#include "failures.hpp"

#include <redismutex/errors.hpp>

#include "shared/exit_status.hpp"
#include "shared/failures.hpp"
#include "shared/parser.hpp"

namespace redismutex::cli {

int say_failure(const std::string& name, const ServerOption& server) noexcept {
  try {
    throw;
  } catch (const NoUrl& error) {
    return say_error(error, exit_status::usage);
  } catch (const CLI::ParseError& error) {
    return say_error(error, exit_status::usage, "try: " + name + " --help");
  } catch (const std::invalid_argument& error) {
    return say_error(error, exit_status::usage, "try: " + name + " --help");
  } catch (const LoginError& error) {
    return say_error(error, exit_status::login_refused, advice_on_login(server.source()));
  } catch (const ConnectionError& error) {
    return say_error(error, exit_status::unreachable, advice_on_server(server.source()));
  } catch (const ServerError& error) {
    return say_error(error, exit_status::internal_error, advice_on_rights(error));
  } catch (const std::exception& error) {
    return say_error(error, exit_status::internal_error);
  }
}

}  // namespace redismutex::cli
