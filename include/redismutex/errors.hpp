#pragma once

#include <redismutex/config.hpp>

#include <stdexcept>
#include <string>
#include <utility>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

/// Base of everything that this library throws, but for bad arguments: those are std::invalid_argument, thrown before
/// anything is sent. Every message names the key or the server, and the limit that was reached.
struct REDISMUTEX_EXPORT Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The lock was not taken: someone else holds it (non-blocking mutex).
struct REDISMUTEX_EXPORT MutexLockError : Error {
  using Error::Error;
};

/// The lock was not taken within the block time.
struct REDISMUTEX_EXPORT BlockTimeExceedError : MutexLockError {
  using MutexLockError::MutexLockError;
};

/// The wait was ended by its stop_token. Nothing is held.
struct REDISMUTEX_EXPORT LockCancelled : MutexLockError {
  using MutexLockError::MutexLockError;
};

/// The lock was no longer ours when it was released or extended: it had expired, was deleted, or has another owner.
struct REDISMUTEX_EXPORT MutexUnlockError : Error {
  using Error::Error;
};

/// No answer: the server is unreachable, too slow, not a Redis or Valkey server, or the connection broke.
struct REDISMUTEX_EXPORT ConnectionError : Error {
  using Error::Error;
};

/// This machine has no descriptor or thread left for what the library needs, as `ulimit -n` and `ulimit -u` limit them. Nothing
/// is held, and nothing is left on the server.
struct REDISMUTEX_EXPORT ResourceError : Error {
  using Error::Error;
};

/// The server wants other credentials, or ConnectionOptions::credentials threw. Never contains the password.
struct REDISMUTEX_EXPORT LoginError : ConnectionError {
  using ConnectionError::ConnectionError;
};

/// A request was sent and no answer came: whether the server carried it out is unknown. What that means for the lock is in
/// the message.
struct REDISMUTEX_EXPORT OutcomeUnknownError : ConnectionError {
  using ConnectionError::ConnectionError;
};

/// The server answered, and refused the command.
struct REDISMUTEX_EXPORT ServerError : Error {
  enum class Reason {
    out_of_memory,  ///< OOM: the server has reached its maxmemory
    no_replicas,    ///< NOREPLICAS: fewer replicas than min-replicas-to-write, or than Options::replicas wants
    not_saving,     ///< MISCONF: the server can not write its snapshots
    read_only,      ///< READONLY: this is a replica
    loading,        ///< LOADING: it has just been started
    busy,           ///< BUSY: a script of somebody's has been running for long
    no_permission,  ///< NOPERM: the user lacks the right
    wrong_type,     ///< WRONGTYPE: something else than a lock is stored at the key
    other,
  };

  ServerError(const std::string& message, std::string code) : Error{message}, code_{std::move(code)} {}

  /// The word that names the kind of the server's error, such as OOM: its first one, as a rule.
  const std::string& code() const noexcept { return code_; }

  /// The same, of those that callers may want to treat in different ways.
  Reason reason() const noexcept;

 private:
  std::string code_;
};

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
