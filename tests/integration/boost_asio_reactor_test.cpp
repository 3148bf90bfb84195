// Boost's Asio. See asio_reactor_promises.hpp.

#include <redismutex/boost_asio.hpp>
//
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#define REACTOR_SUITE BoostAsioReactor
namespace net = ::boost::asio;
namespace ours = ::redismutex::boost_asio;
#include "asio_reactor_promises.hpp"
