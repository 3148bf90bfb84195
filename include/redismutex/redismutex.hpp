#pragma once

/// The whole public interface of redismutex: a mutex for processes on many machines, kept in Redis or Valkey.

#include <redismutex/config.hpp>

#include <redismutex/connection.hpp>
#include <redismutex/connection_options.hpp>
#include <redismutex/errors.hpp>
#include <redismutex/fwd.hpp>
#include <redismutex/lock.hpp>
#include <redismutex/mutex.hpp>
#include <redismutex/observer.hpp>
#include <redismutex/options.hpp>
#include <redismutex/printable.hpp>
#include <redismutex/redis_mutex.hpp>
#include <redismutex/version.hpp>
#include <redismutex/with_redismutex.hpp>
