// Boost's Asio. See asio_promises.hpp.

#include <redismutex/boost_asio.hpp>
//
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#define ASIO_SUITE BoostAsio
namespace net = ::boost::asio;
namespace ours = ::redismutex::boost_asio;
#include "asio_promises.hpp"
