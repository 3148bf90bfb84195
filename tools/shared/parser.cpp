#include "shared/parser.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iostream>
#include <sstream>

#include "shared/exit_status.hpp"
#include "shared/help_text.hpp"
#include "shared/messages.hpp"
#include "shared/shell_word.hpp"

namespace redismutex::cli {
namespace {

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

  std::string make_description(const CLI::App* app) const override {
    return wrapped(Formatter::make_description(app), help_width()) + "\n";
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    return folded(Formatter::make_option_desc(option));
  }

  std::string make_subcommand(const CLI::App* app) const override {
    std::ostringstream line;
    CLI::detail::format_help(line, app->get_name(), folded(app->get_description()), get_column_width());
    return line.str();
  }

 private:
  /// For the column on the right.
  std::string folded(const std::string& text) const { return wrapped(text, help_width() - get_column_width()); }

  std::string text_;
};

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
  app.footer([text = std::move(details)] { return wrapped(text, help_width()); });
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
    if (!said->urls.empty()) return checked({said->urls, std::string{url_option}, {}, words_for(said->urls)});
    if (file->count() == 0) return default_urls();
    NamedUrls urls = urls_in_file(said->file);
    urls.words = " --url-file " + shell_word(said->file);
    return urls;
  };
}

bool finish_output() {
  if (std::cout.flush()) return true;
  say("cannot write to standard output");
  return false;
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
    std::cout << app.help();
    return finish_output() ? 0 : exit_status::internal_error;
  } catch (const CLI::CallForVersion& asked) {
    std::cout << asked.what() << '\n';
    return finish_output() ? 0 : exit_status::internal_error;
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
