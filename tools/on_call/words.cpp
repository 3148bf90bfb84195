#include "words.hpp"

#include <CLI/CLI.hpp>

namespace redismutex::cli {
namespace {

/// No word of a command line has it.
constexpr char mark = '\0';

}  // namespace

void add_words(CLI::App& app, const std::string& name, std::vector<std::string>& words, const std::string& about) {
  app.add_option_function<std::vector<std::string>>(
         name,
         [&words](const std::vector<std::string>& parsed) {
           words = parsed;
           for (std::string& word : words) {
             if (word.ends_with(mark)) word.pop_back();
           }
         },
         about)
      ->type_name("...");
}

void keep_brackets(const CLI::App& app, std::vector<std::string>& words) {
  const auto takes_many = [](const CLI::Option* option) { return option->get_allow_extra_args(); };
  if (app.get_options(takes_many).empty()) return;
  for (std::string& word : words) {
    if (word.starts_with('[') && word.ends_with(']')) word += mark;
  }
}

}  // namespace redismutex::cli
