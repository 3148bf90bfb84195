#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <string>

#include "support/limits.hpp"
#include "support/process.hpp"

namespace redismutex::testing {

/// A child that is forked as Asio wants it.
template <class Context>
ChildProcess forked(Context& context, const std::function<int()>& in_child) {
  context.notify_fork(Context::fork_prepare);
  ChildProcess child{[&] {
    context.notify_fork(Context::fork_child);
    return in_child();
  }};
  context.notify_fork(Context::fork_parent);
  return child;
}

/// Whether a lock can be had. Runs the context until that is known.
template <class Context, class Mutex>
bool takes_one(Context& context, const Mutex& mutex, const std::string& key) {
  bool owned = false;
  mutex.async_acquire_lock(
      key, [&](const std::exception_ptr& error, const auto& lock) { owned = !error && lock.owns_lock(); });
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!owned && std::chrono::steady_clock::now() < until) context.run_one_for(std::chrono::milliseconds{10});
  return owned;
}

}  // namespace redismutex::testing
