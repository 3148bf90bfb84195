#pragma once

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "support/eventually.hpp"
#include "support/process.hpp"
#include "support/server.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::testing {

/// How long to wait for what must happen, on a busy machine.
inline constexpr std::chrono::seconds limit{20};

/// Starts `redismutex ARGUMENTS...`.
ChildProcess start_redismutex(const std::vector<std::string>& arguments,
                              const std::vector<std::string>& environment = {}, const std::string& input = {});

struct Result {
  ExitStatus status;
  std::string out;
  std::string err;
};

/// Waits for the end. Throws std::runtime_error if it does not come.
Result result_of(const ChildProcess& process);

/// Starts `redismutex ARGUMENTS...` and waits for its end.
Result redismutex(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {},
                  const std::string& input = {});

/// Files by which a test and the commands it runs tell each other how far they are. Commands see the directory as $DIR.
class Notes {
 public:
  std::string variable() const { return "DIR=" + directory_.path(); }
  std::string path(const std::string& name) const { return directory_.file(name); }
  const std::string& directory() const { return directory_.path(); }

  /// What is in the file now; empty if there is none.
  std::string read(const std::string& name) const;

  void write(const std::string& name, const std::string& text = "x") const { std::ofstream(path(name)) << text; }

  /// Whether a file with something in it appears. Reads as "EXPECT_TRUE(notes.appears("inside"))".
  bool appears(const std::string& name) const {
    return eventually(limit, [&] { return !read(name).empty(); });
  }

 private:
  TempDir directory_;
};

/// All keys, but those that remember the tokens of a lock that was held: they stay for a while.
std::vector<std::string> keys_but_floors(Server& server);

/// Whether the process exists and is not a zombie.
bool alive(pid_t pid);

}  // namespace redismutex::testing
