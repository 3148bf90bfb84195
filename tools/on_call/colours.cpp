#include "colours.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <string_view>

namespace redismutex::cli {
namespace {

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

}  // namespace

bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) != 0; }

ColourOption::ColourOption(CLI::App& app) {
  app.add_option_function<std::string>(
         "--color",
         [when = when_](const std::string& text) {
           if (text != "auto" && text != "always" && text != "never") {
             throw CLI::ValidationError("--color", "'" + text + "' is neither 'auto', 'always' nor 'never'");
           }
           *when = text;
         },
         "auto, always or never; $NO_COLOR and $CLICOLOR_FORCE are heeded")
      ->type_name("WHEN");
}

Colours ColourOption::colours() const {
  if (*when_ == "never" || !variable("NO_COLOR").empty()) return Colours{false};
  const std::string_view forced = variable("CLICOLOR_FORCE");
  if (*when_ == "always" || (!forced.empty() && forced != "0")) return Colours{true};
  return Colours{stdout_is_terminal() && !variable("TERM").empty() && variable("TERM") != "dumb"};
}

}  // namespace redismutex::cli
