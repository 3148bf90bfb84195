#pragma once

#include <memory>
#include <string>

#include "shared/app.hpp"

namespace redismutex::cli {

/// Colours texts for standard output, or leaves them alone.
class Colours {
 public:
  explicit Colours(bool on = false) : on_{on} {}

  std::string red(const std::string& text) const { return in("31", text); }
  std::string yellow(const std::string& text) const { return in("33", text); }
  std::string bold(const std::string& text) const { return in("1", text); }
  std::string dim(const std::string& text) const { return in("2", text); }

 private:
  std::string in(const char* code, const std::string& text) const {
    return on_ ? std::string{"\x1b["} + code + "m" + text + "\x1b[0m" : text;
  }

  bool on_;
};

/// --color: for a terminal that is not dumb, unless $NO_COLOR is set, which wins over --color=always and $CLICOLOR_FORCE.
class ColourOption {
 public:
  explicit ColourOption(CLI::App& app);

  /// Once the words are parsed.
  Colours colours() const;

 private:
  std::shared_ptr<std::string> when_ = std::make_shared<std::string>("auto");
};

/// Whether standard output is a terminal on which a screen can be drawn anew.
bool stdout_is_terminal();

}  // namespace redismutex::cli
