#pragma once

#include <memory>
#include <redismutex/connection.hpp>
#include <redismutex/connection_options.hpp>

#include "net/fork.hpp"

namespace redismutex::api {

class Runtime;

/// What all copies of a Connection share: one Runtime in each process. A child of fork() gets a new one when it asks for it; the
/// one of its parent, with its socket, its locks and what others of the parent's threads were in the midst of, stays in memory
/// untouched there. Thread-safe.
class Runtimes {
 public:
  explicit Runtimes(ConnectionOptions options);
  ~Runtimes();
  Runtimes(const Runtimes&) = delete;
  Runtimes& operator=(const Runtimes&) = delete;

  /// This process's. Throws std::bad_alloc.
  std::shared_ptr<Runtime> present();

 private:
  const ConnectionOptions options_;
  net::OnePerProcess<std::shared_ptr<Runtime>> runtimes_;
};

/// How functions that are given a Connection reach what is behind it.
struct ConnectionAccess {
  /// This process's Runtime.
  static std::shared_ptr<Runtime> runtime(const Connection& connection) { return connection.runtimes_->present(); }
};

}  // namespace redismutex::api
