// One client of the library, to be measured by redismutex_bench: `redismutex_bench_worker PART ARGUMENT...`. Is built with other
// versions of the library, too, so all of it uses nothing but the public interface.

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "ours.hpp"
#include "parts.hpp"

int main(int argc, char** argv) try {
  CLI::App program{"One client of redismutex, to be measured by redismutex_bench."};
  const redismutex::bench::Parts parts{program, redismutex::bench::make_ours};
  program.require_subcommand(1);
  CLI11_PARSE(program, argc, argv);
  parts.run();
  return EXIT_SUCCESS;
} catch (const std::exception& error) {
  std::cerr << "redismutex_bench_worker: " << error.what() << '\n';
  return EXIT_FAILURE;
}
