// Runs a command with $REDIS_URL set to a server of its own: `redismutex_with_server COMMAND [ARG...]`.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "support/process.hpp"
#include "support/server.hpp"

int main(int argc, char** argv) try {
  using namespace redismutex::testing;
  constexpr auto limit = std::chrono::seconds(60);

  const Server server;
  const ChildProcess child(Program{.arguments = {argv + 1, argv + argc}, .environment = {"REDIS_URL=" + server.url()}});
  const auto ended = child.wait(limit);
  std::cout << child.stdout_text();
  std::cerr << child.stderr_text();
  if (ended == exited(EXIT_SUCCESS)) return EXIT_SUCCESS;
  std::cerr << argv[1] << ": " << (ended ? "ended with " : "still running after 60 s");
  if (ended) std::cerr << *ended;
  std::cerr << '\n';
  return EXIT_FAILURE;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return EXIT_FAILURE;
}
