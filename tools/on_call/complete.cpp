#include "complete.hpp"

#include <cstdlib>
#include <functional>
#include <iostream>
#include <redismutex/operate.hpp>
#include <redismutex/printable.hpp>
#include <string_view>

#include "shared/help_text.hpp"
#include "shared/parser.hpp"

namespace redismutex::cli {
namespace {

constexpr std::size_t most_completed = 100;

struct Candidate {
  std::string word;
  std::string about;
};

/// Where the last word stands.
struct Place {
  std::string current;
  bool is_value = false;  // of an option
  bool may_be_option = true;
  std::size_t words = 0;  // that are no options, before it
  std::string url;        // of --url
};

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

Place place_in(const std::vector<std::string>& words, const CLI::App& subcommand) {
  Place place{.current = words.back(), .url = {}};
  for (std::size_t i = 1; i + 1 < words.size(); ++i) {
    const auto& word = words[i];
    if (!place.may_be_option || word.size() < 2 || word.front() != '-') {
      ++place.words;
    } else if (word == "--") {
      place.may_be_option = false;
    } else if (const auto* const option = subcommand.get_option_no_throw(word);
               option != nullptr && takes_value(*option)) {
      if (i + 2 == words.size()) {
        place.is_value = true;
      } else if (word == url_option) {
        place.url = words[i + 1];
      }
      ++i;
    }
  }
  return place;
}

/// What fits beside a word.
std::string about_in_short(const std::string& text) {
  constexpr std::size_t room = 72;
  const auto lines = wrapped(text, room);
  return lines.substr(0, lines.find('\n'));
}

void add_options(std::vector<Candidate>& all, const CLI::App& app, const std::string& current) {
  for (const auto* const option : app.get_options()) {
    if (option->get_group().empty()) continue;  // kept for the scripts that have it
    for (const auto& name : option->get_lnames())
      all.push_back({"--" + name, about_in_short(option->get_description())});
    if (current.size() > 2 || current.starts_with("--")) continue;
    for (const auto& name : option->get_snames())
      all.push_back({"-" + name, about_in_short(option->get_description())});
  }
}

/// What KEYs there are: a scan of the whole database, so only for those who want it.
void add_keys(std::vector<Candidate>& all, const Place& place) {
  const char* const wanted = std::getenv("REDISMUTEX_COMPLETE_KEYS");
  if (wanted == nullptr || *wanted == '\0') return;
  const auto url = place.url.empty() ? default_urls().urls.front() : place.url;
  scan(Connection{url}, {.inspect = {.waiters = 0, .clients = false}}, [&](const Inspection& seen) {
    if (printable(seen.key) == seen.key) all.push_back({seen.key, "a lock"});
    return all.size() < most_completed;
  });
}

std::vector<Candidate> candidates(const std::vector<std::string>& words, const CLI::App& root) {
  std::vector<Candidate> all;
  if (words.size() == 1) {
    for (const auto* const subcommand : root.get_subcommands(std::function<bool(const CLI::App*)>{})) {
      all.push_back({subcommand->get_name(), subcommand->get_description()});
    }
    if (words.back().starts_with("-")) add_options(all, root, words.back());
    return all;
  }
  const auto found = root.get_subcommands([&](const CLI::App* each) { return each->get_name() == words.front(); });
  if (found.empty()) return all;
  const auto* const subcommand = found.front();
  const Place place = place_in(words, *subcommand);
  if (place.is_value || (place.words > 0 && words.front() == "run")) return all;  // files; COMMAND and its own words
  if (place.may_be_option && place.current.starts_with("-")) {
    add_options(all, *subcommand, place.current);
  } else if (subcommand->get_option_no_throw("KEY") != nullptr) {
    add_keys(all, place);
  }
  return all;
}

}  // namespace

int complete(const CLI::App& root, std::vector<std::string> words) {
  if (!words.empty() && words.front() == "--") words.erase(words.begin());
  if (words.empty()) words.emplace_back();
  try {
    for (const auto& [word, about] : candidates(words, root)) {
      if (word.starts_with(words.back())) std::cout << word << '\t' << about << '\n';
    }
  } catch (const std::exception&) {
    // No server, or no right to look: there is nothing to be completed, and a prompt is no place for messages.
  }
  return 0;
}

}  // namespace redismutex::cli
