// Any bytes either are a URL that a Connection can be made from, or are refused with std::invalid_argument.

#include <cstddef>
#include <cstdint>
#include <redismutex/connection.hpp>
#include <redismutex/connection_options.hpp>
#include <stdexcept>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  redismutex::ConnectionOptions options;
  try {
    options = redismutex::parse_url({reinterpret_cast<const char*>(data), size});
  } catch (const std::invalid_argument&) {
    return 0;
  }
  const redismutex::Connection connection{options};
  return 0;
}
