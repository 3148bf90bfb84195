#include "command.hpp"

#include <sstream>
#include <stdexcept>

namespace redismutex::testing {

ChildProcess start_redismutex(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                              const std::string& input) {
  Program program{.arguments = {REDISMUTEX_COMMAND}, .environment = environment, .input = input};
  program.arguments.insert(program.arguments.end(), arguments.begin(), arguments.end());
  return ChildProcess(program);
}

Result result_of(const ChildProcess& process) {
  const auto status = process.wait(limit);
  if (!status) throw std::runtime_error("still running; stderr: " + process.stderr_text());
  return {*status, process.stdout_text(), process.stderr_text()};
}

Result redismutex(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                  const std::string& input) {
  return result_of(start_redismutex(arguments, environment, input));
}

std::string Notes::read(const std::string& name) const {
  std::ostringstream text;
  text << std::ifstream(path(name)).rdbuf();
  return text.str();
}

std::vector<std::string> keys_but_floors(Server& server) {
  auto keys = server.keys();
  std::erase_if(keys, [](const std::string& key) { return key.starts_with("redismutex:floor:"); });
  return keys;
}

bool alive(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  return file >> number >> name >> state && state != "Z" && state != "X";
}

}  // namespace redismutex::testing
