#include "shared/parser.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "shared/exit_status.hpp"
#include "shared/messages.hpp"

namespace redismutex::cli {
namespace {

using std::chrono::milliseconds;

/// CLI11's help, with examples and a usage line of our own, which also says what excludes what.
class ExamplesFirst : public CLI::Formatter {
 public:
  explicit ExamplesFirst(std::string text) : text_{std::move(text)} {
    column_width(24);
    label("REQUIRED", "");
  }

  std::string make_usage(const CLI::App* /*app*/, std::string /*name*/) const override { return "\n" + text_; }

  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_name().empty() ? "" : " " + option->get_type_name();
  }

 private:
  std::string text_;
};

std::string in_seconds(milliseconds duration) {
  std::ostringstream text;
  text << std::setprecision(12) << std::chrono::duration<double>{duration}.count();
  return text.str();
}

void hide_password(char* word) {
  char* const authority = std::strstr(word, "://");
  if (authority == nullptr) return;
  char* const end = std::strrchr(authority, '@');
  char* const colon = std::strchr(authority + 3, ':');
  if (end != nullptr && colon != nullptr && colon < end) std::fill(colon + 1, end, 'x');
}

}  // namespace

void set_help(CLI::App& app, std::string usage, std::string details) {
  app.formatter(std::make_shared<ExamplesFirst>(std::move(usage)));
  app.footer(std::move(details));
  app.set_help_flag("-h,--help", "show this help");
}

std::function<NamedUrls()> add_url_options(CLI::App& app, const std::string& kinds) {
  struct Said {
    std::vector<std::string> urls;
    std::string file;
  };
  const auto said = std::make_shared<Said>();
  app.add_option_function<std::string>(
         std::string{url_option},
         [said](const std::string& url) {
           // An unset variable in a script must not send it to whichever server is the default.
           if (url.empty()) {
             throw CLI::ValidationError(std::string{url_option}, "is empty; leave it out to use $REDIS_URL");
           }
           said->urls.push_back(url);
         },
         kinds)
      ->trigger_on_parse()
      ->type_name("URL");
  const auto* const file =
      app.add_option("--url-file", said->file, "a file with the URL, or one in each line; it may have a password")
          ->type_name("FILE");
  return [said, file] {
    if (!said->urls.empty()) return checked({said->urls, std::string{url_option}});
    return file->count() > 0 ? urls_in_file(said->file) : default_urls();
  };
}

milliseconds parse_seconds(const std::string& option, const std::string& text, SecondsRange range) {
  // Not std::from_chars(), which would have libm loaded for each run: 2 % of the time of `run true`.
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  if (text.empty() || text.find_first_not_of("-.0123456789") != std::string::npos || *end != '\0') {
    throw CLI::ValidationError(option, "'" + text + "' is not a number of seconds");
  }
  const std::chrono::duration<double> duration{seconds};
  if (duration > range.most) {
    throw CLI::ValidationError(option, text + " is too much: at most " + in_seconds(range.most) + " seconds");
  }
  if (duration < range.least) {
    throw CLI::ValidationError(option, text + " is too little: at least " + in_seconds(range.least) + " seconds");
  }
  return std::chrono::ceil<milliseconds>(duration);
}

int parse_number(const std::string& option, const std::string& text, int least, int most) {
  int number = 0;
  const auto* const end = text.data() + text.size();
  const auto [stopped_at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stopped_at != end || number < least || number > most) {
    throw CLI::ValidationError(
        option, "'" + text + "' is not a number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

std::optional<int> parse_words(CLI::App& app, std::vector<std::string> words, const std::string& name,
                               const std::function<void()>& done) {
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(std::move(words));
    done();
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;
    return 0;
  } catch (const CLI::CallForVersion& asked) {
    std::cout << asked.what() << std::endl;
    return 0;
  } catch (const NoUrl& error) {
    say(error.what());
    return exit_status::usage;
  } catch (const CLI::ParseError& error) {
    say(error.what());
    say("try: " + name + " --help");
    return exit_status::usage;
  }
}

void hide_passwords(char** argv) {
  for (; *argv != nullptr; ++argv) hide_password(*argv);
}

}  // namespace redismutex::cli
