#pragma once

#include <memory>
#include <redismutex/connection.hpp>
#include <redismutex/connection_options.hpp>
#include <vector>

#include "net/fork.hpp"

namespace redismutex::api {

class Quorum;
class Runtime;

/// What all copies of a Connection share: one Runtime in each process. A child of fork() gets a new one when it asks for it; the
/// one of its parent, with its socket, its locks and what others of the parent's threads were in the midst of, stays in memory
/// untouched there. Thread-safe.
class Runtimes {
 public:
  explicit Runtimes(ConnectionOptions options);

  /// Of a quorum: those of its servers.
  Runtimes(std::vector<std::shared_ptr<Runtimes>> members, const QuorumOptions& quorum);
  ~Runtimes();
  Runtimes(const Runtimes&) = delete;
  Runtimes& operator=(const Runtimes&) = delete;

  /// This process's. Throws std::bad_alloc; std::invalid_argument for a quorum, which has no server of its own to be asked.
  std::shared_ptr<Runtime> present();

  /// None: it is no quorum. Throws std::bad_alloc.
  std::shared_ptr<Quorum> quorum();

  bool is_quorum() const noexcept { return !members_.empty(); }
  const ConnectionOptions& options() const noexcept { return options_; }

 private:
  const ConnectionOptions options_;
  const std::vector<std::shared_ptr<Runtimes>> members_;
  const QuorumOptions quorum_options_;
  net::OnePerProcess<std::shared_ptr<Runtime>> runtimes_;
  net::OnePerProcess<std::shared_ptr<Quorum>> quorums_;
};

/// How functions that are given a Connection reach what is behind it.
struct ConnectionAccess {
  static Runtimes& runtimes(const Connection& connection) { return *connection.runtimes_; }

  /// This process's Runtime.
  static std::shared_ptr<Runtime> runtime(const Connection& connection) { return connection.runtimes_->present(); }
};

}  // namespace redismutex::api
