#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace redismutex::bench {

/// For programs that start themselves again, as one of their parts.
inline std::string this_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

/// What a part printed, see Parts. Throws std::runtime_error with what it said if it failed.
std::map<std::string, double> run_part(const std::vector<std::string>& command);

}  // namespace redismutex::bench
