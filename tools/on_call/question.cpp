#include "question.hpp"

#include <unistd.h>

#include <iostream>

namespace redismutex::cli {

bool can_ask() { return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0; }

bool ask(const std::string& question) {
  std::cerr << question + " [y/N] ";
  std::string answer;
  if (!std::getline(std::cin, answer)) std::cerr << '\n';
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace redismutex::cli
