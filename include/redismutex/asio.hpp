#pragma once

/// Locks for programs on Asio: completion tokens, executors and cancellation as Asio has them. Needs Asio 1.18 or newer, which is the
/// program's own; for that of Boost see <redismutex/boost_asio.hpp>. Both may be used in one program.

#include <redismutex/async.hpp>
#include <utility>  // before Asio: its coroutines need it, and old versions do not say so
//
#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/version.hpp>
#if ASIO_VERSION >= 102000
#include <asio/associated_cancellation_slot.hpp>
#define REDISMUTEX_ASIO_HAS_SLOTS 1
#else
#define REDISMUTEX_ASIO_HAS_SLOTS 0
#endif
#if defined(ASIO_HAS_POSIX_STREAM_DESCRIPTOR)
#include <asio/posix/stream_descriptor.hpp>
#define REDISMUTEX_ASIO_HAS_DESCRIPTORS 1
#else
#define REDISMUTEX_ASIO_HAS_DESCRIPTORS 0
#endif

#define REDISMUTEX_ASIO ::asio
#define REDISMUTEX_ASIO_NAME asio
#include <redismutex/asio_life.ipp>  // IWYU pragma: export
//
#include <redismutex/asio_context.ipp>  // IWYU pragma: export
//
#include <redismutex/asio_mutex.ipp>  // IWYU pragma: export
#undef REDISMUTEX_ASIO
#undef REDISMUTEX_ASIO_NAME
#undef REDISMUTEX_ASIO_HAS_SLOTS
#undef REDISMUTEX_ASIO_HAS_DESCRIPTORS
