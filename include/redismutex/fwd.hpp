#pragma once

#include <redismutex/config.hpp>

/// The names of the library's classes, for headers that only mention them. A declaration of your own, `class Lock;`, would
/// declare another class: the real one lives in an inline namespace.

namespace redismutex {
inline namespace REDISMUTEX_ABI {

class AsyncLock;
class AsyncMutex;
class Connection;
class Executor;
class Lock;
class Mutex;
class Observer;
class RedisMutex;
class Replicas;
struct Client;
struct ConnectionOptions;
struct Credentials;
struct InspectOptions;
struct Inspection;
struct Label;
struct Options;
struct QuorumOptions;
struct ScanOptions;
struct ScanProgress;
struct TlsOptions;
struct Waiter;
template <class KeySource, class Function>
class Guarded;
template <class KeySource>
class WithRedisMutex;
template <class T>
class Operation;
template <class T>
class Outcome;

struct BlockTimeExceedError;
struct ConnectionError;
struct Error;
struct LockCancelled;
struct LoginError;
struct MutexLockError;
struct MutexUnlockError;
struct OutcomeUnknownError;
struct ResourceError;
struct ServerError;

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
