// The standalone Asio. See asio_reactor_promises.hpp.

#include <redismutex/asio.hpp>
//
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>
#include <asio/use_awaitable.hpp>

#define REACTOR_SUITE AsioReactor
namespace net = ::asio;
namespace ours = ::redismutex::asio;
#include "asio_reactor_promises.hpp"
