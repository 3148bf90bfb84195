#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/server.hpp"
#include "support/tcp_client.hpp"

namespace redismutex::testing {

/// Sees every command that clients send to a server, from its making on.
class Monitor {
 public:
  /// The server must listen on TCP.
  explicit Monitor(Server& server) : server_(server), client_(server.port()) {
    client_.send("AUTH control any\r\nMONITOR\r\n");
    while (seen_.find("+OK\r\n+OK\r\n") == std::string::npos) receive_more();
    seen_.clear();
  }

  /// The names of the commands since the last call, in order, as their clients wrote them. Without those that scripts
  /// run, and those sent through the Server.
  std::vector<std::string> commands() {
    const std::string mark = "end of test " + std::to_string(++calls_);
    server_.command({"ECHO", mark});
    while (seen_.find(mark) == std::string::npos) receive_more();
    std::vector<std::string> names;
    std::istringstream lines(seen_);
    for (std::string line; std::getline(lines, line);) {
      // +1700000000.123456 [0 unix:/path] "SET" "key" …
      const auto quote = line.find("] \"");
      if (quote == std::string::npos || line.find(mark) != std::string::npos) continue;
      if (line.rfind(" lua", quote) == quote - 4) continue;
      names.push_back(line.substr(quote + 3, line.find('"', quote + 3) - quote - 3));
    }
    seen_.clear();
    return names;
  }

 private:
  void receive_more() {
    const auto text = client_.receive(std::chrono::seconds(10));
    if (text.empty() || text == "FIN" || text == "RST") throw std::runtime_error("MONITOR ended: " + text);
    seen_ += text;
  }

  Server& server_;
  TcpClient client_;
  std::string seen_;
  int calls_ = 0;
};

}  // namespace redismutex::testing
