#pragma once

#include <memory>

#include "locker.hpp"

namespace CLI {
class App;
}  // namespace CLI

namespace redismutex::bench {

/// What a benchmark starts a program as, to look at one client alone: subcommands that each do one piece of work, and print
/// what came of it in lines of a name and a number. They use the library by its public interface alone.
class Parts {
 public:
  Parts(CLI::App& program, MakeLockers make_lockers);
  ~Parts();
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  /// Does what the command line asks for; false if it asks for none of them.
  bool run() const;

 private:
  struct Wanted;
  std::unique_ptr<Wanted> wanted_;
};

}  // namespace redismutex::bench
