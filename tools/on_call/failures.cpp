#include "failures.hpp"

#include <redismutex/errors.hpp>

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

/// For people who may not know why it is this server.
std::string advice_on(const ServerOption& server) {
  const std::string source = server.source();
  if (source == url_option) return {};
  return "that server is the one in " + source + "; --url names another";
}

std::string advice_on(const ServerError& refusal) {
  if (refusal.reason() != ServerError::Reason::no_permission) return {};
  return "the server's user lacks a right; those that this needs are in docs/operate.md, \"Rights\"";
}

}  // namespace

int say_failure(const std::string& name, const ServerOption& server) noexcept {
  try {
    throw;
  } catch (const NoUrl& error) {
    return said(error, exit_status::usage);
  } catch (const CLI::ParseError& error) {
    return said(error, exit_status::usage, "try: " + name + " --help");
  } catch (const std::invalid_argument& error) {
    return said(error, exit_status::usage, "try: " + name + " --help");
  } catch (const LoginError& error) {
    return said(error, exit_status::login_refused, "put the login into $REDIS_URL: redis://USER:PASSWORD@HOST");
  } catch (const ConnectionError& error) {
    return said(error, exit_status::unreachable, advice_on(server));
  } catch (const ServerError& error) {
    return said(error, exit_status::internal_error, advice_on(error));
  } catch (const std::exception& error) {
    return said(error, exit_status::internal_error);
  }
}

}  // namespace redismutex::cli
