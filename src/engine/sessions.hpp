#pragma once

#include <memory>
#include <redismutex/connection_options.hpp>

#include "net/fork.hpp"

namespace redismutex::engine {

class Session;

/// What all copies of a Connection share: one Session in each process. A child of fork() gets a new one when it asks for it; the
/// one of its parent, with its socket, its locks and what others of the parent's threads were in the midst of, stays in memory
/// untouched there. Thread-safe.
class Sessions {
 public:
  explicit Sessions(ConnectionOptions options);
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  /// This process's. Throws std::bad_alloc.
  std::shared_ptr<Session> present();

 private:
  const ConnectionOptions options_;
  net::OnePerProcess<std::shared_ptr<Session>> sessions_;
};

}  // namespace redismutex::engine
