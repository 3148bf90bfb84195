#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "descriptor.hpp"

namespace redismutex::cli {

/// The least that is needed to look after a server of one's own: one-word questions in Redis's inline form, over a unix
/// socket, with one-line answers.
class InlineClient {
 public:
  /// `limit` is for each answer. If there is no server, all answers are empty.
  InlineClient(const std::string& socket_path, std::chrono::milliseconds limit);

  /// The answer's first line without its end, as in "+PONG"; empty if none came.
  std::string ask(std::string_view command);

 private:
  Descriptor socket_;
};

}  // namespace redismutex::cli
