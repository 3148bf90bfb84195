#pragma once

#include <optional>
#include <string>

namespace redismutex::bench {

/// A program with Parts, and the kind of locker that it is to use.
struct PairProgram {
  std::string program;
  std::string client;
  std::string url;
};

// What a pair costs a client, all its threads included. The first two are counted by tools: they print why and return nothing where the tool is
// missing or may not look at a process.
//
// A run is a part for starting up, and a part for each pair; a short and a long one tell them apart. Of some runs of each the
// least counts: what happens by the way, such as a timer, only adds.

/// By strace.
std::optional<double> system_calls_of_pair(const PairProgram& program);

/// Of user space, by callgrind.
std::optional<double> instructions_of_pair(const PairProgram& program);

/// Calls of malloc, calloc and realloc, as the program counts them itself.
double allocations_of_pair(const PairProgram& program);

}  // namespace redismutex::bench
