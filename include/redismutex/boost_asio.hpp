#pragma once

/// Locks for programs on Boost.Asio: see <redismutex/asio.hpp>. Needs Boost 1.74 or newer, which is the program's own.

#include <redismutex/async.hpp>
#include <utility>  // before Asio: its coroutines need it, and old versions do not say so
//
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/version.hpp>
#if BOOST_ASIO_VERSION >= 102000
#include <boost/asio/associated_cancellation_slot.hpp>
#define REDISMUTEX_ASIO_HAS_SLOTS 1
#else
#define REDISMUTEX_ASIO_HAS_SLOTS 0
#endif
#if defined(BOOST_ASIO_HAS_POSIX_STREAM_DESCRIPTOR)
#include <boost/asio/posix/stream_descriptor.hpp>
#define REDISMUTEX_ASIO_HAS_DESCRIPTORS 1
#else
#define REDISMUTEX_ASIO_HAS_DESCRIPTORS 0
#endif

#define REDISMUTEX_ASIO ::boost::asio
#define REDISMUTEX_ASIO_NAME boost_asio
#include <redismutex/asio_life.ipp>  // IWYU pragma: export
//
#include <redismutex/asio_context.ipp>  // IWYU pragma: export
//
#include <redismutex/asio_mutex.ipp>  // IWYU pragma: export
#undef REDISMUTEX_ASIO
#undef REDISMUTEX_ASIO_NAME
#undef REDISMUTEX_ASIO_HAS_SLOTS
#undef REDISMUTEX_ASIO_HAS_DESCRIPTORS
